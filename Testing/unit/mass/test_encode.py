"""Which part of a scan each label is encoded from, and that sharing a part changes no token."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from MaskWhatMattersLib.mass.encode import MarkEncoder, box_of, cut_out, plan_crops
from MaskWhatMattersLib.mass.passes import MassPasses
from MaskWhatMattersLib.progress import SilentProgress
from tiny_mass import tiny_network

WINDOW = 16


def box(*sides: tuple[int, int]) -> tuple[slice, slice, slice]:
    first, second, third = (slice(*side) for side in sides)
    return first, second, third


def scan(shape: tuple[int, int, int] = (20, 24, 40)) -> tuple[np.ndarray, np.ndarray]:
    """Noise, and three masks: two near each other, one far away, and an empty one."""
    image = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    masks = np.zeros((4, *shape), np.uint8)
    masks[0, 3:9, 3:9, 2:8] = masks[1, 6:10, 8:12, 4:9] = masks[2, 4:8, 4:8, 33:38] = 1
    return image, masks


@pytest.fixture(scope="module")
def passes() -> MassPasses:
    return MassPasses(tiny_network(WINDOW))


def test_near_masks_share_a_crop_and_far_ones_do_not() -> None:
    _, masks = scan()
    plans = plan_crops([box_of(mask) for mask in masks], masks.shape[1:], WINDOW)
    assert [plan.masks for plan in plans] == [(0, 1), (2,)]
    assert all(side.stop - side.start == WINDOW for plan in plans for side in plan.box)


def test_a_crop_lies_around_the_middle_of_its_masks() -> None:
    (plan,) = plan_crops([box((40, 46), (50, 54), (60, 62))], (100, 100, 100), WINDOW)
    assert plan.box == box((35, 51), (44, 60), (53, 69))


def test_a_crop_does_not_leave_a_large_scan_and_lies_around_a_small_one() -> None:
    (plan,) = plan_crops([box((0, 2), (20, 24), (3, 5))], (30, 24, 9), WINDOW)
    assert plan.box == box((0, 16), (8, 24), (-3, 13))


def test_a_mask_larger_than_the_window_is_cut_to_its_middle(passes: MassPasses) -> None:
    image = np.zeros((40, 16, 16), np.float32)
    masks = np.zeros((1, 40, 16, 16), np.uint8)
    masks[0, 4:36, 6:10, 6:10] = 1
    encoded = MarkEncoder(passes).encode(image, masks, SilentProgress())
    assert encoded.cut == (0,)
    (crop,) = encoded.crops
    assert crop.masks.sum() == 16 * 4 * 4


def test_of_a_mask_in_two_parts_too_far_apart_for_a_window_one_part_is_seen(passes: MassPasses) -> None:
    image, masks = np.zeros((16, 20, 48), np.float32), np.zeros((1, 16, 20, 48), np.uint8)
    masks[0, 4:8, 4:8, 2:7] = masks[0, 4:8, 4:8, 40:46] = 1
    encoded = MarkEncoder(passes).encode(image, masks, SilentProgress())
    assert encoded.cut == (0,)
    assert encoded.crops[0].masks.sum() == 4 * 4 * 6


def test_zeros_lie_beyond_the_scan() -> None:
    array = np.arange(1, 9).reshape(2, 2, 2)
    cut = cut_out(array, box((-1, 3), (0, 2), (1, 4)))
    assert cut.shape == (4, 2, 3)
    np.testing.assert_array_equal(cut[1:3, :, 0], array[:, :, 1])
    assert cut.sum() == array[:, :, 1].sum()


def test_tokens_are_those_of_each_mask_alone_in_the_same_crop(passes: MassPasses) -> None:
    image, masks = scan()
    encoded = MarkEncoder(passes).encode(image, masks, SilentProgress())
    np.testing.assert_array_equal(encoded.present, [True, True, True, False])
    for crop in encoded.crops:
        for mask, place in zip(crop.masks, crop.places, strict=True):
            alone = passes.tokens(crop.image, mask[None])
            for scale, wanted in zip(encoded.tokens, alone, strict=True):
                torch.testing.assert_close(scale[place], wanted[0], atol=1e-3, rtol=0)
    assert not any(scale[3].any() for scale in encoded.tokens)


def test_crops_show_what_was_encoded(passes: MassPasses) -> None:
    image, masks = scan()
    encoded = MarkEncoder(passes).encode(image, masks, SilentProgress())
    assert [int(crop.masks.sum()) for crop in encoded.crops] == [int(masks[:2].sum()), int(masks[2].sum())]
    np.testing.assert_array_equal(encoded.crops[1].image, image[:16, :16, 24:])


def test_a_crop_is_normalised_by_itself_on_request(passes: MassPasses) -> None:
    image, masks = scan((12, 24, 40))
    (crop, _) = MarkEncoder(passes, normalise=True).encode(5 * image + 3, masks, SilentProgress()).crops
    inside = crop.image[2:14]
    assert inside.mean() == pytest.approx(0, abs=1e-5)
    assert inside.std() == pytest.approx(1, abs=1e-4)
    assert not crop.image[:2].any()


def test_nothing_marked_gives_tokens_of_zero(passes: MassPasses) -> None:
    image, masks = scan()
    encoded = MarkEncoder(passes).encode(image, np.zeros_like(masks), SilentProgress())
    assert not encoded.present.any()
    assert [scale.shape[:2] for scale in encoded.tokens] == [(4, 4)] * 3
