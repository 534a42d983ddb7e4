"""Losses over all voxels: soft Dice, cross entropy, and the two ways in which branches teach each other.

Everything starts from log-odds, log(p / (1 - p)) of each class against the rest. With two classes these are one
difference of logits, so probabilities and sharpened probabilities are one sigmoid each and nothing saturates.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

DICE_SMOOTHING = 1e-8


def full_precision(values: Tensor) -> Tensor:
    """At least float32, whatever autocast made of them."""
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values


def foreground_log_odds(logits: Tensor) -> Tensor:
    """Log-odds of every class but the background against all other classes, [B, C - 1, *spatial].

    Args:
        logits: [B, C, *spatial], C >= 2.
    """
    logits = full_precision(logits)
    if logits.shape[1] == 2:
        return logits[:, 1:] - logits[:, :1]
    return class_log_odds(logits)[:, 1:]


def class_log_odds(logits: Tensor) -> Tensor:
    """Log-odds of every class against all others, [B, C, *spatial]."""
    logits = full_precision(logits)
    others = []
    for index in range(logits.shape[1]):
        rest = torch.cat([logits[:, :index], logits[:, index + 1 :]], 1)
        others.append(rest.logsumexp(1))
    return logits - torch.stack(others, 1)


def soft_dice_loss(log_odds: Tensor, labels: Tensor, weight: Tensor | None = None) -> Tensor:
    """1 - soft Dice of the foreground classes over the whole batch, with plain (not squared) sums.

    Args:
        log_odds: From `foreground_log_odds`, [B, C - 1, *spatial].
        labels: Classes, long [B, *spatial].
        weight: Of each voxel, [B, *spatial]; 1 without it.
    """
    losses = []
    for index in range(log_odds.shape[1]):
        probability = log_odds[:, index].sigmoid()
        truth = (labels == index + 1).to(probability.dtype)
        if weight is not None:
            probability, truth = probability * weight, truth * weight
            overlap = (probability * (labels == index + 1)).sum()
        else:
            overlap = (probability * truth).sum()
        dice = (2 * overlap + DICE_SMOOTHING) / (probability.sum() + truth.sum() + DICE_SMOOTHING)
        losses.append(1 - dice)
    return torch.stack(losses).mean()


def voxel_cross_entropy(logits: Tensor, labels: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean cross entropy of all voxels.

    Args:
        logits: [B, C, *spatial].
        labels: Classes, long [B, *spatial].
        weight: Of each voxel, [B, *spatial]; the mean is then the weighted one.
    """
    if logits.shape[1] == 2:
        signs = (1 - 2 * labels).to(full_precision(logits).dtype)
        losses = functional.softplus(foreground_log_odds(logits)[:, 0] * signs)
    else:
        losses = functional.cross_entropy(full_precision(logits), labels, reduction="none")
    if weight is None:
        return losses.mean()
    return (losses * weight).sum() / weight.sum().clamp_min(1)


def dice_and_cross_entropy(logits: Tensor, labels: Tensor, weight: Tensor | None = None) -> Tensor:
    """Half soft Dice, half cross entropy, as in the supervised loss of UA-MT and its successors."""
    dice = soft_dice_loss(foreground_log_odds(logits), labels, weight)
    return 0.5 * (dice + voxel_cross_entropy(logits, labels, weight))
