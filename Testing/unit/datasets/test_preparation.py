"""What every preparation of images shares."""

from __future__ import annotations

import pytest

from MaskWhatMattersLib.datasets.preparation import smoothing_sigma


@pytest.mark.parametrize(("factor", "sigma"), [(0.5, 0.0), (1.0, 0.0), (2.0, 0.0), (4.0, 1.0)])
def test_smoothing_supplies_what_interpolation_lacks(factor: float, sigma: float) -> None:
    assert smoothing_sigma(factor) == pytest.approx(sigma)
