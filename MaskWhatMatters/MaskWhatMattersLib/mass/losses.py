"""The loss of in-context segmentation: how far probabilities are from masks, each mask alike."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def segmentation_loss(logits: Tensor, masks: Tensor, counted: Tensor | None = None) -> Tensor:
    """Adaptive Tversky plus binary cross-entropy, one to one, a mean over masks (MASS, arXiv 2603.13660, code).

    Args:
        logits: [B, K, D, H, W].
        masks: 0 and 1, or truth values, [B, K, D, H, W].
        counted: False for masks that do not count, [B, K]; all count when None.
    """
    with torch.autocast(logits.device.type, enabled=False):
        logits, target = logits.float(), masks.to(torch.float32)
        each = _tversky(torch.sigmoid(logits), target)
        each = each + functional.binary_cross_entropy_with_logits(logits, target, reduction="none").mean((2, 3, 4))
        if counted is None:
            return each.mean()
        return (each * counted).sum() / counted.sum().clamp(min=1)


def hard_dice(logits: Tensor, masks: Tensor, counted: Tensor) -> Tensor:
    """Dice of masks that are not empty, a scalar on the device; 0 where all are.

    Args:
        logits: [B, K, D, H, W].
        masks: Truth values, [B, K, D, H, W].
        counted: False for masks that do not count, [B, K].
    """
    found = logits > 0
    both = (found & masks).sum((2, 3, 4))
    size = masks.sum((2, 3, 4))
    dice = 2 * both / (found.sum((2, 3, 4)) + size).clamp(min=1)
    there = counted & (size > 0)
    return (dice * there).sum() / there.sum().clamp(min=1)


def _tversky(probabilities: Tensor, target: Tensor) -> Tensor:
    """1 - TP / (TP + a FP + (1 - a) FN) of each mask with a = FP / (FP + FN) within 0.2 and 0.8, [B, K].

    The larger of the two mistakes weighs more; the weights themselves have no gradient. An empty target gives 1 without
    a gradient: absence is taught by the cross-entropy.
    """
    hits = (probabilities * target).sum((2, 3, 4))
    false_positives = (probabilities * (1 - target)).sum((2, 3, 4))
    false_negatives = ((1 - probabilities) * target).sum((2, 3, 4))
    with torch.no_grad():
        share = false_positives / (false_positives + false_negatives).clamp(min=1e-6)
        share = share.clamp(0.2, 0.8)
    mistakes = share * false_positives + (1 - share) * false_negatives
    return 1 - hits / (hits + mistakes).clamp(min=1e-6)
