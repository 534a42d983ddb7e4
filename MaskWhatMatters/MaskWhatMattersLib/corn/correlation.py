"""CORAL distances between sets of embeddings, and the losses that compare the distances of two branches.

CORAL: Sun and Saenko 2016, arXiv:1607.01719. Distances are those of arXiv:2410.15916, Eq. 4; covariances are computed
in float32 also inside autocast, because bf16 differences of nearly equal covariances are noise.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from MaskWhatMattersLib.corn.losses import full_precision

SMALLEST_TEMPERATURE = 1e-12


def covariance(rows: Tensor, valid: Tensor | None = None) -> Tensor:
    """Covariance of each set, [..., d, d], with N - 1 in the denominator; 0 for fewer than two rows.

    Args:
        rows: [..., N, d].
        valid: Rows that count, [..., N]; all without it.
    """
    with torch.autocast(rows.device.type, enabled=False):
        rows = full_precision(rows)
        if valid is None:
            centred = rows - rows.mean(-2, keepdim=True)
            return centred.mT @ centred / max(rows.shape[-2] - 1, 1)
        weight = valid.to(rows.dtype)[..., None]
        count = weight.sum(-2, keepdim=True)
        mean = (rows * weight).sum(-2, keepdim=True) / count.clamp_min(1)
        centred = (rows - mean) * weight
        return centred.mT @ centred / (count - 1).clamp_min(1)


def shrink(covariances: Tensor, shrinkage: float) -> Tensor:
    """Covariances [..., d, d] moved towards the multiple of the identity that has the same trace."""
    size = covariances.shape[-1]
    variance = covariances.diagonal(dim1=-2, dim2=-1).mean(-1)[..., None, None]
    identity = torch.eye(size, dtype=covariances.dtype, device=covariances.device)
    return (1 - shrinkage) * covariances + shrinkage * variance * identity


def coral_distance(covariances: Tensor, others: Tensor) -> Tensor:
    """Squared Frobenius distance of covariances [..., d, d], divided by 4 d^2."""
    size = covariances.shape[-1]
    return (covariances - others).square().sum((-2, -1)) / (4 * size**2)


def distance_matrix(covariances: Tensor, others: Tensor) -> Tensor:
    """CORAL distance of every one of M to every one of P, [M, P]; differences first, so small ones stay exact.

    Args:
        covariances: [M, d, d].
        others: [P, d, d].
    """
    return coral_distance(covariances[:, None], others[None])


def released_correlation_loss(main: Tensor, auxiliary: Tensor, valid: Tensor) -> Tensor:
    """Cross entropy of two vectors of distances, as the released code has it.

    The main branch's k distances are logits; the auxiliary branch's are the target, neither normalised nor detached:
    -(1/k) sum_i auxiliary_i log softmax(main)_i. Without a valid entry the loss is 0.

    Args:
        main: Any shape.
        auxiliary: The same shape.
        valid: Entries that exist, the same shape.
    """
    count = valid.sum()
    logits = main.masked_fill(~valid, -torch.inf)
    logits = torch.where(count > 0, logits, torch.zeros_like(main))
    logarithms = functional.log_softmax(logits.flatten(), 0).masked_fill(~valid.flatten(), 0)
    return -(auxiliary.flatten() * logarithms).sum() / count.clamp_min(1)


def correlation_loss(student: Tensor, target: Tensor, temperature: Tensor) -> Tensor:
    """Mean over rows of the cross entropy of row-softmax(-distance / temperature) (arXiv:2410.15916, Eq. 6).

    Args:
        student: Distances, [M, P].
        target: Distances that say what the student's should look like, [M, P]; detach them to teach one way only.
        temperature: Scalar in the unit of the distances.
    """
    temperature = temperature.clamp_min(SMALLEST_TEMPERATURE)
    logarithms = functional.log_softmax(-student / temperature, 1)
    return -(functional.softmax(-target / temperature, 1) * logarithms).sum(1).mean()


def symmetric_correlation_loss(main: Tensor, auxiliary: Tensor, temperature: Tensor) -> Tensor:
    """Mean of `correlation_loss` both ways, neither of which moves its target."""
    return 0.5 * (
        correlation_loss(main, auxiliary.detach(), temperature)
        + correlation_loss(auxiliary, main.detach(), temperature)
    )
