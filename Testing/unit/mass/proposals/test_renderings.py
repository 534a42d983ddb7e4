from __future__ import annotations

import numpy as np

from MaskWhatMattersLib.mass.proposals.renderings import render


def test_ct_is_rendered_in_three_windows_from_0_to_1():
    values = np.array([-1400.0, -700.0, 50.0, 1000.0]).reshape(1, 2, 2)
    rendered = render(values, np.ones((1, 2, 2), bool), is_ct=True)
    assert rendered.shape == (3, 1, 2, 2)
    np.testing.assert_allclose(rendered[:, 0, 1, 0], [0.5, 14 / 15, 1 / 9], atol=1e-6)
    assert rendered.min() == 0
    assert rendered.max() == 1


def test_a_scan_of_one_value_can_be_rendered():
    assert not render(np.full((2, 2, 2), 7.0), np.ones((2, 2, 2), bool), is_ct=False).any()
