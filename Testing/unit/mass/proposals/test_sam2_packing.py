import numpy as np
import pytest

from MaskWhatMattersLib.mass.proposals.sam2_packing import FoundMask, packed, seeded_piece, without_duplicates

SHAPE = (8, 10, 12)
SPACING = (2.0, 2.0, 2.0)


def _box(*box: tuple[int, int]) -> FoundMask:
    mask = np.zeros(SHAPE, np.bool_)
    mask[tuple(slice(*side) for side in box)] = True
    found = seeded_piece(mask, mask)
    assert found is not None
    return found


def test_the_largest_piece_that_touches_the_seed_stays() -> None:
    mask = np.zeros(SHAPE, np.bool_)
    mask[0:3, 0:2, 0:2] = True  # touches
    mask[2, 5:7, 5:7] = True  # touches, smaller
    mask[5:8, 4:10, 4:12] = True  # the largest, elsewhere
    seed = np.zeros_like(mask)
    seed[2] = mask[2]
    found = seeded_piece(mask, seed)
    assert found is not None
    assert found.voxels == 12
    assert [(side.start, side.stop) for side in found.box] == [(0, 3), (0, 2), (0, 2)]


def test_a_mask_without_a_seed_is_nothing() -> None:
    mask = np.zeros(SHAPE, np.bool_)
    mask[0] = True
    assert seeded_piece(mask, np.zeros_like(mask)) is None


def test_near_duplicates_go_and_nested_masks_stay() -> None:
    large, nearly, half = _box((0, 8), (0, 10), (0, 10)), _box((0, 8), (0, 10), (0, 9)), _box((0, 8), (0, 5), (0, 10))
    kept = without_duplicates([half, nearly, large], 0.85)
    assert [each.voxels for each in kept] == [800, 400]
    assert len(without_duplicates([half, nearly, large], 0.95)) == 3


def test_masks_of_one_label_volume_do_not_overlap() -> None:
    masks = [_box((0, 8), (0, 10), (0, 10)), _box((0, 2), (0, 2), (0, 2)), _box((0, 8), (0, 10), (10, 12))]
    proposals, left_out = packed(masks, SHAPE, SPACING, "sam2", 4)
    assert left_out == 0
    assert len(proposals.levels) == 2
    assert sorted(proposals.voxels) == [8, 160, 800]
    assert sorted(proposals.masks(range(3)).sum((1, 2, 3))) == [8, 160, 800]
    assert proposals.volume_ml.max() == pytest.approx(6.4)


def test_what_fits_into_no_label_volume_is_counted() -> None:
    masks = [_box((0, 8), (0, 10), (0, 10)), _box((0, 2), (0, 2), (0, 2))]
    proposals, left_out = packed(masks, SHAPE, SPACING, "sam2", 1)
    assert (len(proposals), left_out) == (1, 1)


def test_no_mask_at_all_gives_an_empty_set() -> None:
    proposals, left_out = packed([], SHAPE, SPACING, "sam2", 4)
    assert (len(proposals), left_out, proposals.spatial_shape) == (0, 0, SHAPE)
