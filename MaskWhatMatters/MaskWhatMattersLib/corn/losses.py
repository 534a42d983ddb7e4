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


def sharpened_consistency(main: Tensor, auxiliary: Tensor, temperature: float, *, detach: bool) -> Tensor:
    """Mean squared error of each branch to the other's sharpened probabilities, summed over both ways.

    Sharpening is p^(1/T) / (p^(1/T) + (1 - p)^(1/T)), which is the sigmoid of the log-odds divided by T. With two
    classes both contribute the same, so one of them is computed.

    Args:
        main: Logits, [B, C, *spatial].
        auxiliary: Logits, [B, C, *spatial].
        temperature: T; below 1 sharpens.
        detach: Whether the targets are fixed. The released code lets gradients through them.
    """
    log_odds = foreground_log_odds if main.shape[1] == 2 else class_log_odds
    one, other = log_odds(main), log_odds(auxiliary)
    return _error_to_sharpened(one, other, temperature, detach) + _error_to_sharpened(other, one, temperature, detach)


def cross_pseudo_loss(main: Tensor, auxiliary: Tensor) -> Tensor:
    """Cross entropy of each branch against the other's most probable class, summed (cross pseudo supervision).

    Args:
        main: Logits, [B, C, *spatial].
        auxiliary: Logits, [B, C, *spatial].
    """
    return voxel_cross_entropy(main, auxiliary.detach().argmax(1)) + voxel_cross_entropy(
        auxiliary, main.detach().argmax(1)
    )


def probability_distance(logits: Tensor, target: Tensor) -> Tensor:
    """Mean squared difference of probabilities, over voxels and classes; the target is fixed.

    Args:
        logits: [B, C, *spatial].
        target: Logits, [B, C, *spatial].
    """
    if logits.shape[1] == 2:
        return functional.mse_loss(
            foreground_log_odds(logits).sigmoid(), foreground_log_odds(target.detach()).sigmoid()
        )
    return functional.mse_loss(full_precision(logits).softmax(1), full_precision(target.detach()).softmax(1))


def _error_to_sharpened(log_odds: Tensor, target: Tensor, temperature: float, detach: bool) -> Tensor:
    if detach:
        target = target.detach()
    return functional.mse_loss(log_odds.sigmoid(), (target / temperature).sigmoid())
