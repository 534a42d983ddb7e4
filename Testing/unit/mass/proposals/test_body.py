from __future__ import annotations

import numpy as np
import pytest

from MaskWhatMattersLib.mass.proposals.body import body_mask
from MaskWhatMattersLib.volumes import Volume


def scan(array: np.ndarray) -> Volume:
    return Volume(array[None].astype(np.float32), np.eye(4))


def chest() -> np.ndarray:
    """Soft tissue from top to bottom with a lung in it, a table behind, air around, HU."""
    values = np.full((12, 40, 40), -1000.0)
    values[:, 8:30, 6:34] = 40.0
    values[:, 14:24, 12:20] = -850.0
    values[:, 37, 4:36] = 100.0
    return values


def test_ct_body_holds_the_lung_but_not_the_table():
    body = body_mask(scan(chest()), is_ct=True)
    np.testing.assert_array_equal(body[:, 10:28, 8:32], True)
    assert not body[:, 36:].any()
    assert not body[:, :4].any()


def test_mr_body_is_what_is_not_black():
    values = np.zeros((20, 20, 20))
    values[4:16, 4:16, 4:16] = 500.0
    np.testing.assert_array_equal(body_mask(scan(values), is_ct=False), values > 0)


@pytest.mark.parametrize("shape", [(35, 50, 35), (3, 40, 40), (1, 8, 8)])
def test_a_crop_within_the_body_is_looked_at_as_a_whole(shape):
    values = np.random.default_rng(0).uniform(20, 400, shape)
    assert body_mask(scan(values), is_ct=False).all()


def test_thick_slices_keep_their_ends():
    values = np.zeros((5, 30, 30))
    values[:, 5:25, 5:25] = 300.0
    assert body_mask(scan(values), is_ct=False)[:, 6:24, 6:24].all()


@pytest.mark.parametrize("is_ct", [True, False])
def test_an_empty_scan_is_looked_at_as_a_whole(is_ct):
    assert body_mask(scan(np.full((4, 5, 6), -1000.0 if is_ct else 0.0)), is_ct).all()


def test_a_speck_is_no_body():
    values = np.zeros((20, 20, 20))
    values[10, 10, 10] = 1.0
    assert body_mask(scan(values), is_ct=False).all()
