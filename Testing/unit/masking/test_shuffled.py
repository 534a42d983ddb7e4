"""The control with regions of other images."""

from __future__ import annotations

import pytest
import torch

from MaskWhatMattersLib.masking.shuffled import others_regions


def _boxes(*boxes: tuple[int, int, int, int] | None) -> torch.Tensor:
    """One box per image, first and last row and column; [B, 8, 8]."""
    region = torch.zeros(len(boxes), 8, 8, dtype=torch.bool)
    for image, box in enumerate(boxes):
        if box is not None:
            region[image, box[0] : box[1], box[2] : box[3]] = True
    return region


def _shuffled(region: torch.Tensor, seed: int = 0) -> torch.Tensor:
    return others_regions(region, torch.Generator().manual_seed(seed))


def test_each_image_gets_a_region_of_another_one_of_the_same_size():
    region = _boxes((0, 1, 0, 8), (5, 7, 2, 6), (0, 8, 7, 8))
    moved = _shuffled(region)
    for image in range(3):
        sources = [other for other in range(3) if torch.equal(moved[image], region[other])]
        assert len(sources) == 1
        assert sources != [image]


@pytest.mark.parametrize("seed", range(10))
def test_each_image_keeps_its_number_of_tokens(seed):
    region = _boxes((0, 1, 0, 2), None, (2, 8, 1, 8), (4, 6, 4, 6), (0, 8, 0, 8))
    counts = [image.sum().item() for image in _shuffled(region, seed)]
    assert counts == [2, 0, 42, 4, 64]


def test_a_region_that_is_too_large_is_kept_around_its_centre_and_a_small_one_grows():
    region = _boxes((0, 6, 0, 6), (5, 7, 5, 7))
    moved = _shuffled(region)
    assert torch.equal(moved[1], _boxes((2, 4, 2, 4))[0])
    assert moved[0, 5:7, 5:7].all()


def test_the_only_region_of_a_batch_goes_elsewhere():
    region = _boxes(None, (0, 3, 0, 3), None)
    moved = _shuffled(region)
    assert torch.equal(moved, _boxes(None, (4, 7, 4, 7), None))
    assert torch.equal(_shuffled(_boxes((0, 3, 0, 3))), _boxes((4, 7, 4, 7)))


def test_no_region_stays_none():
    assert not _shuffled(_boxes(None, None)).any()


def test_partners_change_with_the_seed():
    region = _boxes(*[(row, row + 2, row, row + 2) for row in range(6)])
    assert len({tuple(_shuffled(region, seed).flatten().tolist()) for seed in range(8)}) > 1
