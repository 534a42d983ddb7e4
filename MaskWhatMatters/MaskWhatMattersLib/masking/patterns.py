"""In which order tokens are taken by masks that have a shape: blocks, and a regular grid."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

_BLOCKS = 16
"""Drawn for every image; together they nearly always cover what is to be hidden."""
_SMALLEST_BLOCK = 16
"""Tokens, as in BEiT."""
_STRETCH = math.log(1 / 0.3)
"""A block is at most so much longer than wide; the logarithm is drawn uniformly, as in BEiT."""


def block_order(grid: Sequence[int], batch: int, count: int, generator: torch.Generator) -> Tensor:
    """Order in which blocks of random place, size and shape cover an image (BEiT, arXiv:2106.08254, Algorithm 1).

    Blocks are rectangles in 2D and boxes in 3D, of 16 tokens up to half of what is to be hidden; edges may cut them.
    They grow from their centres one after the other, so that any number of tokens is hidden exactly: the last block is
    a smaller one.

    Args:
        grid: Tokens along the spatial axes.
        batch: Images, B.
        count: How many tokens will be taken.
        generator: Of the device that the order is made on.

    Returns:
        float32 [B, tokens]; tokens with lower numbers come first.
    """
    device, dims = generator.device, len(grid)
    sides = torch.empty(dims, device=device)
    for axis, side in enumerate(grid):
        sides[axis].fill_(side)  # a tensor of a list would be copied from the host
    size, place = (torch.rand(batch, _BLOCKS, amount, generator=generator, device=device) for amount in (1, dims))
    stretch = (torch.rand(batch, _BLOCKS, dims, generator=generator, device=device) - 0.5) * _STRETCH
    largest = max(count / 2, 1.0)
    smallest = min(_SMALLEST_BLOCK, largest)
    volume = smallest + size * (largest - smallest)
    shape = torch.exp(stretch - stretch.mean(dim=2, keepdim=True))
    half = torch.minimum(shape * volume ** (1 / dims) / 2, sides / 2)
    centre = place * (sides + half) - half / 2  # up to a quarter may lie outside: corners are hidden about as often
    distance = torch.zeros(batch, _BLOCKS, *[1] * dims, device=device)
    for axis, side in enumerate(grid):
        steps = torch.arange(side, device=device) + 0.5
        away = (steps - centre[:, :, axis, None]).abs() / half[:, :, axis, None]
        distance = torch.maximum(distance, away.reshape(batch, _BLOCKS, *_along(axis, dims)))
    distance = distance.flatten(2)
    turn = torch.arange(_BLOCKS, device=device)[:, None]
    # Within a block by distance from its centre; what no block covers comes last, nearest to a block first.
    return (distance + torch.where(distance < 1, turn, _BLOCKS)).amin(dim=1)


def grid_order(grid: Sequence[int], batch: int, generator: torch.Generator) -> Tensor:
    """Order in which a regular grid fills an image: every other token along each axis, then the ones between.

    That is the order of ordered dithering (Bayer 1973) in any number of dimensions, moved by a random offset for each
    image: of four tokens in 2D the first one comes from the same corner of each square of four, and so on.

    Args:
        grid: Tokens along the spatial axes.
        batch: Images, B.
        generator: Of the device that the order is made on.

    Returns:
        int32 [B, tokens]; tokens with lower numbers come first.
    """
    device, dims = generator.device, len(grid)
    levels = max(max(grid) - 1, 1).bit_length()
    offsets = torch.randint(2**levels, (batch, dims), generator=generator, device=device, dtype=torch.int32)
    places = [
        (torch.arange(side, device=device, dtype=torch.int32) + offsets[:, axis, None]).reshape(
            batch, *_along(axis, dims)
        )
        for axis, side in enumerate(grid)
    ]
    order = torch.zeros(batch, *grid, dtype=torch.int32, device=device)
    for level in range(levels):
        bits = [(place >> level) & 1 for place in places]
        corner = sum(bits[1:], start=bits[0]) % 2  # corners that no side joins first: a checkerboard when half is full
        for bit in bits[1:]:
            corner = corner * 2 + bit
        order = order * 2**dims + corner
    return order.flatten(1)


def _along(axis: int, dims: int) -> list[int]:
    """Shape of a row of numbers along one of the spatial axes."""
    return [-1 if other == axis else 1 for other in range(dims)]
