from __future__ import annotations

import numpy as np

from MaskWhatMattersLib.mass.proposals.threshold_components import threshold_components


def test_ct_falls_into_bone_fat_and_gas():
    values = np.full((20, 20, 20), 40.0)
    values[2:8, 2:8, 2:8] = 700.0
    values[12:18, 2:8, 2:8] = -100.0
    values[2:8, 12:18, 2:8] = -900.0
    values[15, 15, 15] = 700.0
    pieces = threshold_components(values, np.ones(values.shape, bool), is_ct=True, least_voxels=10)
    assert pieces.max() == 3
    assert {pieces[4, 4, 4], pieces[14, 4, 4], pieces[4, 14, 4]} == {1, 2, 3}
    assert pieces[15, 15, 15] == 0


def test_other_scans_fall_into_classes_of_brightness():
    values = np.full((20, 20, 20), 100.0)
    values[2:8, 2:8, 2:8] = 300.0
    values[12:18, 12:18, 2:18] = 500.0
    values[:, :, 18:] = 0.0
    pieces = threshold_components(values, np.ones(values.shape, bool), is_ct=False, least_voxels=10)
    bright = pieces[14, 14, 4]
    assert bright > 0
    np.testing.assert_array_equal(pieces[13:17, 13:17, 4:16], bright)
    assert pieces[4, 4, 4] not in (0, bright)


def test_a_scan_of_one_value_has_no_pieces():
    assert not threshold_components(np.ones((4, 4, 4)), np.ones((4, 4, 4), bool), False, 1).any()
