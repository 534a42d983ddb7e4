"""Batch and instance normalization whose statistics come from visible positions only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, distributed, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm


def masked_batch_norm(norm: _BatchNorm, features: Tensor, visible: Tensor) -> Tensor:
    """What `norm` makes of the visible positions, 0 elsewhere; its running statistics follow the visible ones.

    While several processes train together, the statistics are those of all their visible positions, as in SparK
    (Tian et al. 2023, arXiv:2301.03580): hidden ones leave few to each process.

    Args:
        norm: Its parameters, running statistics and mode are used.
        features: [B, C, *spatial].
        visible: bool [B, 1, *spatial].
    """
    if not norm.training and norm.running_mean is not None:
        normed = functional.batch_norm(
            features, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps
        )
        return normed * visible
    across = (0, *range(2, features.ndim))
    shared = norm.training and _processes() > 1
    normed, mean, variance, count = _normalize(features, visible, norm.weight, norm.bias, norm.eps, across, shared)
    if norm.training:
        _follow(norm, mean.flatten(), (variance * (count / (count - 1).clamp(min=1))).flatten())
    return normed


def masked_instance_norm(norm: _InstanceNorm, features: Tensor, visible: Tensor) -> Tensor:
    """What `norm` makes of the visible positions of each image, 0 elsewhere.

    Args:
        norm: Its parameters are used; it has no running statistics.
        features: [B, C, *spatial].
        visible: bool [B, 1, *spatial].
    """
    across = tuple(range(2, features.ndim))
    return _normalize(features, visible, norm.weight, norm.bias, norm.eps, across, False)[0]


def masked_norm(norm: nn.Module, features: Tensor, visible: Tensor) -> Tensor:
    """`masked_batch_norm` or `masked_instance_norm`, as it fits."""
    if isinstance(norm, _InstanceNorm):
        return masked_instance_norm(norm, features, visible)
    if isinstance(norm, _BatchNorm):
        return masked_batch_norm(norm, features, visible)
    raise TypeError(f"Statistics of visible positions are known for batch and instance norm; found {norm}.")


class _MaskedNormalization(torch.autograd.Function):
    """Normalization by mean and variance of visible positions.

    Written out because it keeps nothing but its input for the backward pass, as the dense operation does; left to
    autograd, sums and squares would keep three more copies of every feature map.
    """

    @staticmethod
    def forward(
        ctx: Any,
        features: Tensor,
        visible: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        eps: float,
        across: tuple[int, ...],
        shared: bool,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        # Products with the mask, not `where`, which takes ten times as long on a processor.
        wide = torch.promote_types(features.dtype, torch.float32)
        total = (features * visible).sum(across, keepdim=True, dtype=wide)
        count = visible.sum(across, keepdim=True, dtype=wide).expand_as(total)
        total, count = _over_processes(total, count, shared=shared)
        count = count.clamp(min=1)
        mean = total / count
        normed = (features - mean).mul_(visible)
        (squares,) = _over_processes(normed.square().sum(across, keepdim=True), shared=shared)
        variance = squares / count
        scale = (variance + eps).rsqrt()
        normed.mul_(scale if weight is None else scale * _per_channel(weight, features))
        if bias is not None:
            normed.add_(_per_channel(bias, features)).mul_(visible)
        ctx.save_for_backward(features, visible, weight, mean, scale, count)
        ctx.across, ctx.shared, ctx.has_bias = across, shared, bias is not None
        ctx.mark_non_differentiable(mean, variance, count)
        return normed.to(features.dtype), mean, variance, count

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        features, visible, weight, mean, scale, count = ctx.saved_tensors
        gradient = (gradients[0] * visible).to(mean.dtype)
        normed = (features - mean).mul_(scale)
        along_bias = gradient.sum(ctx.across, keepdim=True)
        along_weight = (gradient * normed).sum(ctx.across, keepdim=True)
        to_weight = None if weight is None else along_weight.sum(0).flatten().to(weight.dtype)
        to_bias = along_bias.sum(0).flatten() if ctx.has_bias else None
        along_bias, along_weight = _over_processes(along_bias, along_weight, shared=ctx.shared)
        gradient.sub_(normed.mul_(along_weight / count).add_(along_bias / count))
        gradient.mul_(scale if weight is None else scale * _per_channel(weight, features)).mul_(visible)
        return gradient.to(features.dtype), None, to_weight, to_bias, None, None, None


_normalize = cast(Callable[..., tuple[Tensor, Tensor, Tensor, Tensor]], _MaskedNormalization.apply)


@torch.no_grad()
def _follow(norm: _BatchNorm, mean: Tensor, variance: Tensor) -> None:
    """Move the running statistics towards those of a batch, as the dense norm does."""
    if norm.running_mean is None or norm.running_var is None or norm.num_batches_tracked is None:
        return
    norm.num_batches_tracked.add_(1)
    share = 1 / norm.num_batches_tracked if norm.momentum is None else norm.momentum
    norm.running_mean.lerp_(mean, share)
    norm.running_var.lerp_(variance, share)


def _per_channel(values: Tensor, features: Tensor) -> Tensor:
    return values.reshape(1, -1, *[1] * (features.ndim - 2))


def _processes() -> int:
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def _over_processes(*sums: Tensor, shared: bool) -> tuple[Tensor, ...]:
    """Each added up over all processes."""
    if not shared:
        return sums
    together = torch.stack(sums)
    distributed.all_reduce(together)
    return together.unbind()
