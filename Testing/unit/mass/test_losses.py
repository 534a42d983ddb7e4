"""The loss of in-context segmentation."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from MaskWhatMattersLib.mass.losses import hard_dice, segmentation_loss

SHAPE = (1, 2, 4, 4, 4)


def masks():
    found = torch.zeros(SHAPE, dtype=torch.bool)
    found[0, 0, :2] = True
    found[0, 1, 0, 0] = True
    return found


def test_a_perfect_prediction_costs_nothing():
    logits = torch.where(masks(), 30.0, -30.0)
    assert float(segmentation_loss(logits, masks())) == pytest.approx(0, abs=1e-5)


def test_the_larger_mistake_weighs_more():
    target = masks()[:, :1]
    logits = torch.full((1, 1, 4, 4, 4), 30.0)  # 32 hits, 32 false positives, none missed: weight 0.8 at most
    tversky = 1 - 32 / (32 + 0.8 * 32)
    entropy = functional.binary_cross_entropy_with_logits(logits, target.float())
    assert float(segmentation_loss(logits, target)) == pytest.approx(tversky + float(entropy), rel=1e-4)


def test_an_empty_mask_is_taught_by_the_cross_entropy_alone():
    target = torch.zeros(1, 1, 4, 4, 4)
    logits = torch.zeros(1, 1, 4, 4, 4, requires_grad=True)
    segmentation_loss(logits, target).backward()
    own = torch.zeros(1, 1, 4, 4, 4, requires_grad=True)
    functional.binary_cross_entropy_with_logits(own, target).backward()
    torch.testing.assert_close(logits.grad, own.grad)


def test_masks_that_do_not_count_change_nothing():
    logits = torch.randn(SHAPE, generator=torch.Generator().manual_seed(0))
    counted = torch.tensor([[True, False]])
    first = segmentation_loss(logits, masks(), counted)
    logits[:, 1] += 5
    assert torch.equal(first, segmentation_loss(logits, masks(), counted))
    torch.testing.assert_close(first, segmentation_loss(logits[:, :1], masks()[:, :1]))


def test_dice_counts_masks_that_are_there():
    target = masks()
    target[0, 1] = False
    logits = torch.full(SHAPE, 1.0)
    every = torch.ones(1, 2, dtype=torch.bool)
    assert float(hard_dice(logits, target, every)) == pytest.approx(2 * 32 / (64 + 32))
    assert float(hard_dice(logits, torch.zeros_like(target), every)) == 0
