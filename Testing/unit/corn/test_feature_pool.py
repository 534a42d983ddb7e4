"""What the pool keeps, how old and new meet, and what it hands out."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from MaskWhatMattersLib.corn.feature_pool import FeaturePool, PoolUpdate
from unit.corn import literal_reference as literal

SCANS, CLASSES, ROWS, SIZE = 3, 2, 8, 4


def pool(fusion="overwrite"):
    return FeaturePool(SCANS, CLASSES, ROWS, SIZE, fusion=fusion, share=0.9, dtype=torch.float32)


def news(scan=0, seed=0, valid=ROWS, available=100):
    generator = torch.Generator().manual_seed(seed)
    exists = (torch.arange(ROWS) < valid).expand(1, CLASSES, ROWS).clone()
    return PoolUpdate(
        torch.tensor([scan]),
        torch.randn(1, CLASSES, ROWS, SIZE, generator=generator),
        torch.rand(1, CLASSES, ROWS, generator=generator).sort(descending=True).values,
        exists,
        torch.full((1, CLASSES), available),
    )


def without_class(update, index):
    valid, available = update.valid.clone(), update.available.clone()
    valid[:, index], available[:, index] = False, 0
    return update._replace(valid=valid, available=available)


@pytest.mark.parametrize("fusion", ["overwrite", "rows", "moments"])
def test_the_first_patch_of_a_scan_is_kept_as_it_is(fusion):
    kept, update = pool(fusion), news(scan=1)
    kept.update(update)
    torch.testing.assert_close(kept.features[1], update.rows[0])
    assert kept.available.tolist() == [[0, 0], [100, 100], [0, 0]]


def test_overwriting_forgets_the_old():
    kept = pool()
    kept.update(news())
    kept.update(news(seed=1, valid=3))
    assert torch.isfinite(kept.confidence[0]).sum(-1).tolist() == [3, 3]
    torch.testing.assert_close(kept.features[0, :, :3], news(seed=1).rows[0, :, :3])


def test_rows_are_averaged_in_the_order_of_confidence():
    kept = pool("rows")
    kept.update(news())
    kept.update(news(seed=1, valid=3))
    old, new = news().rows[0], news(seed=1).rows[0]
    torch.testing.assert_close(kept.features[0, :, :3], 0.9 * old[:, :3] + 0.1 * new[:, :3])
    torch.testing.assert_close(kept.features[0, :, 3:], old[:, 3:])


def test_fused_moments_keep_the_covariance_that_averaged_rows_lose():
    by_moments, by_rows = pool("moments"), pool("rows")
    for seed in range(30):
        by_moments.update(news(seed=seed))
        by_rows.update(news(seed=seed))
    fused = by_moments.class_covariances()[0].diagonal().mean()
    averaged = torch.cov(by_rows.features[0, 0].T).diagonal().mean()
    assert fused > 0.6
    assert averaged < 0.5 * fused


def test_class_covariance_is_that_of_all_scans_together():
    kept = pool("moments")
    kept.update(news(scan=0))
    kept.update(news(scan=2, seed=1))
    together = torch.cat([news().rows[0, 1], news(seed=1).rows[0, 1]])
    biased = literal.covariance(together) * (2 * ROWS - 1) / (2 * ROWS)
    np.testing.assert_allclose(kept.class_covariances()[1], biased, atol=1e-5)


@pytest.mark.parametrize("fusion", ["overwrite", "rows", "moments"])
def test_a_class_that_a_patch_lacks_keeps_what_it_had(fusion):
    kept = pool(fusion)
    kept.update(news())
    before = {name: value[:, 1].clone() for name, value in kept.state_dict().items()}
    kept.update(without_class(news(seed=1), 1))
    for name, value in kept.state_dict().items():
        assert torch.equal(value[:, 1], before[name]), name


def test_two_patches_of_one_scan_are_taken_one_after_the_other():
    one, two, kept = news(), news(seed=1), pool("rows")
    kept.update(PoolUpdate(*(torch.cat(parts) for parts in zip(one, two, strict=True))))
    torch.testing.assert_close(kept.features[0], 0.9 * one.rows[0] + 0.1 * two.rows[0])


def test_the_most_confident_rows_of_all_scans_are_handed_out_first():
    kept = pool()
    for scan in range(SCANS):
        kept.update(news(scan=scan, seed=scan))
    confidence = torch.cat([news(seed=scan).confidence[0, 1] for scan in range(SCANS)])
    rows = torch.cat([news(seed=scan).rows[0, 1] for scan in range(SCANS)])
    found = kept.sample(6, 4, torch.Generator().manual_seed(0))
    torch.testing.assert_close(found.rows[1, :4], rows[confidence.topk(4).indices])
    assert found.valid.all()
    assert len(torch.unique(found.rows[1], dim=0)) == 6


def test_a_scan_with_more_correct_voxels_is_drawn_from_more_often():
    kept = pool()
    kept.update(news(scan=0, available=10_000))
    kept.update(news(scan=1, seed=1, available=10))
    often = kept.sample(4, 0, torch.Generator().manual_seed(0)).rows[0]
    assert all((news().rows[0, 0] == row).all(-1).any() for row in often)


def test_an_empty_pool_hands_out_nothing_valid():
    found = pool().sample(4, 2, torch.Generator().manual_seed(0))
    assert not found.valid.any()
    assert torch.isfinite(found.rows).all()
