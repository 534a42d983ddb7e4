"""Embedding heads."""

from __future__ import annotations

import pytest
import torch

from MaskWhatMattersLib.corn.heads import BranchHeads, unit_scaled


def test_unit_embeddings_have_a_mean_square_of_one():
    heads = BranchHeads(4, 8, "layer", unit=True)
    for embedded in (heads(torch.randn(5, 4)), heads.project(torch.randn(5, 4))):
        torch.testing.assert_close(embedded.square().mean(1), torch.ones(5))
    assert torch.isfinite(unit_scaled(torch.zeros(2, 8))).all()


def test_projecting_for_the_pool_is_detached_and_leaves_batch_statistics_alone():
    heads = BranchHeads(4, 8, "batch", unit=False)
    before = {name: value.clone() for name, value in heads.state_dict().items()}
    assert not heads.project(torch.randn(5, 4)).requires_grad
    assert heads.projection.training
    assert all(torch.equal(value, before[name]) for name, value in heads.state_dict().items())


@pytest.mark.parametrize("normalization", ["batch", "layer"])
def test_embeddings_are_float32_inside_autocast(normalization):
    heads = BranchHeads(4, 8, normalization, unit=False)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert heads(torch.randn(5, 4).bfloat16()).dtype == torch.float32
