"""The largest piece of a mask."""

from __future__ import annotations

import numpy as np

from MaskWhatMattersLib.evaluation.components import largest_component


def test_the_piece_with_the_most_voxels_is_kept():
    mask = np.zeros((4, 9), bool)
    mask[0, :2] = True
    mask[2:, 4:7] = True
    expected = mask.copy()
    expected[0] = False
    np.testing.assert_array_equal(largest_component(mask), expected)


def test_pieces_that_touch_at_a_corner_are_one():
    mask = np.zeros((4, 4, 4), bool)
    mask[:2, :2, :2] = True
    mask[2:, 2:, 2:] = True
    assert largest_component(mask) is mask


def test_of_equal_pieces_the_first_is_kept():
    np.testing.assert_array_equal(largest_component(np.array([True, False, True])), [True, False, False])


def test_an_empty_mask_stays_empty():
    assert not largest_component(np.zeros((3, 3), bool)).any()
