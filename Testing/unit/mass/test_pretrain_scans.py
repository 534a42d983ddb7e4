"""Scans with their proposals on a device."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.mass.pretrain_scans import PretrainScans
from tiny_mass_pretraining import SHAPE, cubes, scan, tiny, tiny_scans


def test_a_scan_keeps_its_grey_values_and_its_masks(tmp_path):
    found = tiny_scans(tmp_path).on("cpu", tiny())[0]
    assert found.grey.shape == SHAPE
    values = scan().array[0]
    assert (
        np.corrcoef(found.grey.numpy().ravel(), np.clip(values, *np.percentile(values, (2, 98))).ravel())[0, 1] > 0.99
    )
    masks = found.masks(found.levels, torch.arange(2))
    assert torch.equal(masks[1], torch.from_numpy(cubes(SHAPE, 8) == 2))


def test_counts_are_those_of_the_masks(tmp_path):
    found = tiny_scans(tmp_path).on("cpu", tiny())[0]
    crop = found.levels[:, 3:19, 2:18, 5:21]
    masks = found.masks(crop, torch.arange(len(found.level)))
    assert torch.equal(found.counts(crop), masks.sum((1, 2, 3)))


def test_a_damaged_cache_says_what_to_remove(tmp_path):
    scans = tiny_scans(tmp_path)
    (scans.folders[0] / "levels.npy").write_bytes(b"damaged")
    with pytest.raises(InputError, match="Remove that folder"):
        scans.on("cpu", tiny())


def test_small_sets_are_drawn_more_often_than_by_their_number(tmp_path):
    folders = tiny_scans(tmp_path).folders
    scans = PretrainScans([*folders, *folders], ["large", "large", "large", "small"], balance=0.0)
    torch.testing.assert_close(scans.weights, torch.tensor([1 / 6, 1 / 6, 1 / 6, 1 / 2]))


def test_each_size_of_mask_is_as_likely_as_any_other(tmp_path):
    found = tiny_scans(tmp_path).on("cpu", tiny())[0]
    voxels = found.counts(found.levels)
    share = {size: float(found.weights[voxels.log2().floor() == size].sum()) for size in (7.0, 9.0)}
    assert share[7.0] == pytest.approx(share[9.0], rel=1e-4)
