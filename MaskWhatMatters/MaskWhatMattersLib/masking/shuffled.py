"""A control for masking by relevance: regions that are as large, but lie where another image has its own."""

from __future__ import annotations

import torch
from torch import Tensor


def others_regions(relevant: Tensor, generator: torch.Generator) -> Tensor:
    """Give each image the region of another one, with as many tokens as its own has.

    Images with a region pass theirs on in a random circle. A region with too many tokens keeps those around its centre
    of gravity; one with too few grows around it. The only region of a batch is moved by half the image along every
    axis instead; what leaves at one side comes back at the other.

    Args:
        relevant: Tokens in the region of each image, bool [B, *grid].
        generator: Of the same device.

    Returns:
        bool [B, *grid]; images without a region keep none.
    """
    batch, grid = len(relevant), relevant.shape[1:]
    own = relevant.flatten(1).sum(dim=1)
    partner = _next_in_circle(own > 0, generator)
    moved = relevant.roll([side // 2 for side in grid], dims=list(range(1, relevant.ndim)))
    alone = partner == torch.arange(batch, device=relevant.device)
    region = torch.where(alone.reshape(-1, *[1] * len(grid)), moved, relevant[partner])
    order = torch.argsort(_from_centre(region) + 1e6 * ~region.flatten(1), dim=1)
    taken = torch.arange(order.shape[1], device=order.device) < own[:, None]
    return torch.zeros_like(taken).scatter_(1, order, taken).reshape(relevant.shape)


def _next_in_circle(has_region: Tensor, generator: torch.Generator) -> Tensor:
    """Which image each one takes its region from, int64 [B]: itself only where it has the only region, or none."""
    batch = len(has_region)
    place = torch.arange(batch, device=has_region.device)
    chance = torch.rand(batch, generator=generator, device=has_region.device)
    order = torch.argsort(chance + 2.0 * ~has_region)  # images with a region first, in random order
    count = has_region.sum()
    follower = torch.where(place + 1 < count, place + 1, torch.where(place < count, 0, place))
    return torch.empty_like(order).scatter_(0, order, order[follower])


def _from_centre(region: Tensor) -> Tensor:
    """Squared distance of every token from the centre of gravity of the region, float32 [B, tokens]."""
    dims = region.ndim - 1
    count = region.flatten(1).sum(dim=1).clamp(min=1)
    distance = torch.zeros((), device=region.device)
    for axis, side in enumerate(region.shape[1:]):
        along = [-1 if other == axis else 1 for other in range(dims)]
        places = torch.arange(side, device=region.device, dtype=torch.float32).reshape(along)
        centre = (region * places).flatten(1).sum(dim=1) / count
        distance = distance + (places - centre.reshape(-1, *[1] * dims)).square()
    return distance.flatten(1)
