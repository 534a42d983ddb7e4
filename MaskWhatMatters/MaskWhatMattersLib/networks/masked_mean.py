"""Mean of coarse maps under fine masks, without enlarging the maps."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def masked_mean(maps: Tensor, masks: Tensor) -> Tensor:
    """Mean under each mask of the maps enlarged to its size (Iris, arXiv:2503.19359, Eq. 2), [B, K, C], float32.

    The maps would be enlarged trilinearly with aligned corners. That is linear, so that its transpose can shrink the
    mask instead, one axis after the other, and only once for all C channels: equal up to rounding.

    Args:
        maps: [B, C, d, h, w].
        masks: 0 or 1, of any type, [B, K, D, H, W]. An empty one gives 0.
    """
    with torch.autocast(maps.device.type, enabled=False):
        weights = masks.float()
        size = weights.sum((2, 3, 4)).clamp(min=1)
        for fine, coarse in zip(masks.shape[2:], maps.shape[2:], strict=True):
            # The first spatial axis becomes the last one: after three turns they are in order again.
            weights = weights.movedim(2, -1) @ _enlarging(fine, coarse, maps.device)
        return weights.flatten(2) @ maps.float().flatten(2).transpose(1, 2) / size[..., None]


def _enlarging(fine: int, coarse: int, device: torch.device) -> Tensor:
    """Matrix [fine, coarse] that enlarges `coarse` values linearly, with aligned corners."""
    unit = torch.eye(coarse, device=device)[None]
    return functional.interpolate(unit, fine, mode="linear", align_corners=True)[0].T
