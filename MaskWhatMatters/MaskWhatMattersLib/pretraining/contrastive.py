"""How well two views of an image find each other among all others."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, distributed
from torch.nn import functional


def nt_xent(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """Normalized temperature-scaled cross entropy (Chen et al. 2020, arXiv:2002.05709, Eq. 1).

    MONAI's `ContrastiveLoss` is the same formula, but copies from the processor to the GPU in every step, overflows at
    temperatures below 0.0113 and keeps a vector for every pair of images.

    Args:
        first: Projections of one view, [B, F].
        second: Projections of another view of the same images, [B, F].
        temperature: Of the softmax over similarities.

    Returns:
        A float32 scalar. While several processes train together, each compares its images with those of all.
    """
    with torch.autocast(first.device.type, enabled=False):  # similarities of 8 bits, divided by 0.1, mean nothing
        own = functional.normalize(torch.cat([first, second]).float(), dim=1)  # [2B, F]
        everyone, offset = _of_all_processes(own)
        places = torch.arange(len(own), device=own.device)
        similarity = own @ everyone.T / temperature
        itself = torch.zeros_like(similarity, dtype=torch.bool).scatter_(1, (places + offset)[:, None], True)
        partner = (places + len(first)) % len(own) + offset
        return functional.cross_entropy(similarity.masked_fill(itself, -torch.inf), partner)


def _of_all_processes(own: Tensor) -> tuple[Tensor, int]:
    """Everyone's projections, and where the own ones begin."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return own, 0
    everyone: Tensor = _Gather.apply(own)  # type: ignore[no-untyped-call]
    return everyone, distributed.get_rank() * len(own)


class _Gather(torch.autograd.Function):
    """Rows of all processes, through which gradients flow back; torch's own is on its way out (2.13)."""

    @staticmethod
    def forward(ctx: Any, own: Tensor) -> Tensor:
        parts = [torch.empty_like(own) for _ in range(distributed.get_world_size())]
        distributed.all_gather(parts, own.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        gradient = gradients[0].clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(gradient)
        return gradient.chunk(distributed.get_world_size())[distributed.get_rank()]
