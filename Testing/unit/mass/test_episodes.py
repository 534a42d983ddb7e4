"""Episodes: two views of a scan with masks that are in both."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from MaskWhatMattersLib.datasets.image_cases import ImageCase
from MaskWhatMattersLib.mass.episodes import EpisodeDrawer
from MaskWhatMattersLib.mass.pretrain_cache import prepare_scans
from MaskWhatMattersLib.mass.pretrain_config import ViewConfig
from MaskWhatMattersLib.volumes import Volume
from tiny_mass_pretraining import Blocks, tiny, tiny_scans

STILL = ViewConfig(moved=0.0, share=0.0)


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    return tiny_scans(tmp_path_factory.mktemp("cache"))


def drawer(scans, rank=0, **changes):
    config = tiny(**changes)
    return EpisodeDrawer(config, scans.on("cpu", config), rank)


def test_a_batch_is_a_pure_function_of_settings_process_and_step(scans):
    first, again = drawer(scans).batch(5), drawer(scans).batch(5)
    assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))
    assert not torch.equal(first.query, drawer(scans, rank=1).batch(5).query)
    assert not torch.equal(first.query, drawer(scans).batch(6).query)


def test_shapes_are_those_of_the_network(scans):
    batch = drawer(scans, fewer=0.0).batch(0)
    assert batch.query.shape == batch.reference.shape == (2, 1, 16, 16, 16)
    assert batch.query_masks.shape == batch.reference_masks.shape == (2, 3, 16, 16, 16)
    assert batch.query_masks.dtype == torch.bool
    assert batch.counted.shape == (2, 3)


def test_masks_are_in_both_views(scans):
    draws = drawer(scans, fewer=0.0, absent=0.0, whole_field=0.0, least_voxels=20, overlap=0.9)
    for step in range(10):
        batch = draws.batch(step)
        for masks in (batch.reference_masks, batch.query_masks):
            assert int(masks.sum((2, 3, 4)).min()) >= 20
        assert batch.counted.all()


def test_some_masks_are_absent_from_the_query(scans):
    draws = drawer(scans, fewer=0.0, absent=1.0, whole_field=0.0, overlap=0.5, batch_size=8)
    batch = draws.batch(0)
    gone = ~batch.query_masks.any(-1).any(-1).any(-1)
    assert gone.float().mean() > 0.5
    assert (batch.reference_masks.sum((2, 3, 4)) >= 8)[gone].all()


def test_the_whole_field_is_a_mask_of_its_own(scans):
    batch = drawer(scans, whole_field=1.0).batch(0)
    assert batch.reference_masks[:, 0].all()
    assert batch.query_masks[:, 0].all()
    assert batch.counted[:, 0].all()


def test_the_number_of_masks_varies_between_steps(scans):
    counts = {drawer(scans, fewer=1.0).batch(step).query_masks.shape[1] for step in range(12)}
    assert counts == {1, 2, 3}


def test_unchanged_views_show_the_same_scan_shifted(scans):
    batch = drawer(scans, reference=STILL, query=STILL, overlap=1.0).batch(3)
    torch.testing.assert_close(batch.query, batch.reference)
    assert torch.equal(batch.query_masks, batch.reference_masks)
    assert float(batch.query.abs().max()) < 6


def test_crops_of_one_scan_overlap_as_much_as_wanted(scans):
    draws = drawer(scans, overlap=0.75)
    scan = draws.scans[0]
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        first, second = draws._centres(scan, generator)
        assert np.abs(np.subtract(first, second)).max() <= 0.25 * 16


def test_a_scan_smaller_than_the_crop_with_fewer_masks_than_wanted_will_do(tmp_path):
    array = np.random.default_rng(0).normal(size=(1, 7, 8, 6)).astype(np.float32)
    cases = [ImageCase("small", Volume(array, np.diag([2.0, 2.0, 2.0, 1.0]), modality="MR"), "p")]
    config = tiny(labels=12, fewer=0.0, query=STILL)
    scans = prepare_scans(cases, config, cache=tmp_path, proposer=Blocks())
    batch = EpisodeDrawer(config, scans.on("cpu", config)).batch(0)
    assert batch.query_masks.shape == (2, 12, 16, 16, 16)
    assert (batch.query == 0).any()
