"""One piece, no holes."""

from __future__ import annotations

import itertools

import numpy as np
import torch
from torch import Tensor

from MaskWhatMattersLib.corn.postprocess import (
    averaged_over_mirrors,
    bounding_box,
    clean,
    fill_holes,
    largest_component,
)


def block(*boxes: tuple[slice, slice, slice]) -> np.ndarray:
    mask = np.zeros((10, 12, 14), bool)
    for box in boxes:
        mask[box] = True
    return mask


LARGE = (slice(1, 6), slice(1, 6), slice(1, 6))
SMALL = (slice(7, 9), slice(8, 10), slice(9, 12))


def test_only_the_largest_piece_stays() -> None:
    np.testing.assert_array_equal(largest_component(block(SMALL, LARGE)), block(LARGE))


def test_pieces_that_touch_by_a_corner_are_one_as_where_segmentations_are_scored() -> None:
    both = block(LARGE, (slice(6, 8), slice(6, 8), slice(6, 8)))
    np.testing.assert_array_equal(largest_component(both), both)


def test_a_hole_is_filled_and_a_channel_to_the_outside_is_not() -> None:
    hollow = block(LARGE)
    hollow[3, 3, 3] = False
    np.testing.assert_array_equal(fill_holes(hollow), block(LARGE))
    hollow[3, 3, :4] = False
    np.testing.assert_array_equal(fill_holes(hollow), hollow)


def test_a_small_piece_inside_a_hole_does_not_stay_apart() -> None:
    hollow = block(LARGE)
    hollow[2:5, 2:5, 2:5] = False
    hollow[3, 3, 3] = True
    np.testing.assert_array_equal(clean(hollow), block(LARGE))


def test_nothing_stays_nothing() -> None:
    nothing = block()
    assert not clean(nothing).any()
    assert bounding_box(nothing) is None


def test_the_box_holds_every_piece() -> None:
    assert bounding_box(block(SMALL, LARGE)) == (slice(1, 9), slice(1, 10), slice(1, 12))


def test_mirror_images_are_turned_back_before_they_are_averaged() -> None:
    seen: list[Tensor] = []

    def predict(images: Tensor) -> Tensor:
        seen.append(images)
        return images

    image = torch.randn(1, 1, 3, 4, 5)
    torch.testing.assert_close(averaged_over_mirrors(predict)(image), image)
    assert len(seen) == 4
    assert not any(torch.equal(first, second) for first, second in itertools.pairwise(seen))


def test_scans_are_never_turned_upside_down() -> None:
    def depth_only(images: Tensor) -> Tensor:
        return images.mean((3, 4), keepdim=True).expand_as(images) * torch.arange(3.0).reshape(3, 1, 1)

    image = torch.randn(1, 1, 3, 4, 5)
    torch.testing.assert_close(averaged_over_mirrors(depth_only)(image), depth_only(image))
