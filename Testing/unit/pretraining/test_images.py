"""Batches of a pretraining."""

from __future__ import annotations

import pytest
import torch

from MaskWhatMattersLib.pretraining.batch import ViewsBatch
from MaskWhatMattersLib.pretraining.images import PretrainImages
from tiny_pretraining import tiny

RELEVANT = {"kind": "relevance", "inside": 1.0, "outside": 0.0, "rule": "nearest"}
REGION = {"source": "labels"}


def test_a_batch_belongs_to_the_step_and_not_to_what_came_before(images):
    first = PretrainImages(tiny(), images.device_scans())
    for step in range(3):
        first.batch(step)
    again = PretrainImages(tiny(), images.device_scans()).batch(3)[0]
    for one, other in zip(first.batch(3)[0], again, strict=True):
        assert torch.equal(one, other)


def test_every_image_is_seen_once_before_any_is_seen_again(images):
    batches = PretrainImages(tiny(batch_size=3), images.device_scans())
    passes = [sorted(batches.indices(step) + batches.indices(step + 1)) for step in (0, 2, 4)]
    assert passes == [list(range(6))] * 3


def test_processes_share_the_images_of_a_pass(images):
    batches = [PretrainImages(tiny(batch_size=3), images.device_scans(), rank, 2) for rank in (0, 1)]
    assert sorted(batches[0].indices(0) + batches[1].indices(0)) == list(range(6))


def test_a_batch_can_be_larger_than_there_are_images(images):
    indices = PretrainImages(tiny(batch_size=16), images.device_scans()).indices(0)
    assert len(indices) == 16
    assert set(indices) == set(range(6))


def test_the_region_decides_what_is_hidden(images):
    config = tiny(masking=RELEVANT, region=REGION)
    batch, mask = PretrainImages(config, images.device_scans()).masked([0, 1], 0)
    assert torch.equal(batch.hidden, mask.relevant)
    assert 0 < int(batch.hidden.sum()) < batch.hidden.numel()


def test_padding_and_invalid_voxels_are_told_apart_from_valid_ones(images):
    config = tiny(size=[48, 48], encoder=tiny().encoder.model_dump() | {"image_size": [48, 48]})
    valid = PretrainImages(config, images.device_scans()).masked([0], 0)[0].valid
    assert int(valid.sum()) == 40 * 35


def test_simclr_gets_two_different_views_of_the_same_images(images):
    batch, mask = PretrainImages(tiny("simclr", augment={"flips": True, "noise": 0.5}), images.device_scans()).batch(0)
    assert isinstance(batch, ViewsBatch)
    assert mask is None
    assert batch.first.shape == batch.second.shape == (4, 1, 32, 32)
    assert not torch.equal(batch.first, batch.second)


def test_the_picture_stays_the_same(images):
    batches = PretrainImages(tiny(), images.device_scans())
    before = batches.picture_batch()
    batches.batch(5)
    assert torch.equal(before.hidden, batches.picture_batch().hidden)


@pytest.mark.parametrize("kind", ["random", "block", "grid"])
def test_without_guidance_the_share_is_exact(images, kind):
    hidden = PretrainImages(tiny(masking={"kind": kind, "ratio": 0.75}), images.device_scans()).batch(0)[0].hidden
    assert hidden.flatten(1).sum(1).tolist() == [12] * 4
