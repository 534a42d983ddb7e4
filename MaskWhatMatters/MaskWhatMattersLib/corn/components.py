"""Largest connected component of masks, on the device that they are on."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

ROUNDS = 12
"""Rounds of propagation; each one lets labels cross many voxels, so organs are joined in a few."""


@torch.no_grad()
def largest_component(mask: Tensor, rounds: int = ROUNDS) -> Tensor:
    """The largest piece of each mask, whose voxels touch by faces, edges or corners.

    The number of rounds is fixed so that a GPU never waits for the host; a piece that winds more than the rounds can
    follow counts as several.

    Args:
        mask: Boolean [B, *spatial], 2D or 3D, fewer than 2^24 voxels each.
        rounds: Propagations to neighbours, each followed by two jumps along labels.
    """
    flat = mask.flatten(1)
    voxels = flat.shape[1]
    pool = functional.max_pool3d if mask.ndim == 4 else functional.max_pool2d
    # Labels are positions counted from 1, exact in float32 below 2^24; 0 is outside.
    labels = torch.where(flat, torch.arange(1, voxels + 1, device=mask.device), 0)
    for _ in range(rounds):
        grown = pool(labels.view(mask.shape)[:, None].float(), kernel_size=3, stride=1, padding=1)[:, 0].flatten(1)
        reached = torch.where(flat, grown.long(), 0)
        # Hooking: whoever was the root of a voxel now points where that voxel points.
        roots = torch.cat([labels.new_zeros(flat.shape[0], 1), labels], 1)
        roots = roots.scatter_reduce(1, labels, reached, "amax")
        roots[:, 0] = 0
        for _ in range(2):
            roots = roots.gather(1, roots)
        labels = torch.where(flat, torch.maximum(roots.gather(1, reached), reached), 0)
    sizes = labels.new_zeros(flat.shape[0], voxels + 1).scatter_add_(1, labels, flat.long())
    largest = sizes.argmax(1, keepdim=True)
    return (flat & (labels == largest)).view(mask.shape)
