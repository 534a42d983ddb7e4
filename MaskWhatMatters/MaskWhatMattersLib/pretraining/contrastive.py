"""How well two views of an image find each other among all others."""

from __future__ import annotations

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
    """Everyone's projections, through which gradients flow back to their process, and where the own ones begin."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return own, 0
    from torch.distributed.nn.functional import all_gather  # cannot be imported where torch has no processes

    return torch.cat(all_gather(own)), distributed.get_rank() * len(own)
