"""Images as rows of tokens and back, in any number of dimensions."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor


def patchify(images: Tensor, patch_size: Sequence[int]) -> Tensor:
    """The voxels of each token in one row; tokens in the order of the flattened grid, last axis fastest.

    Args:
        images: [B, C, *spatial]; any type.
        patch_size: Voxels of a token along the spatial axes.

    Returns:
        [B, N, P * C]: P voxels of a token, last axis fastest, the channels of a voxel side by side.

    Raises:
        ValueError: The image is not made of whole tokens.
    """
    grid = _grid(images.shape[2:], patch_size)
    sides = [number for pair in zip(grid, patch_size, strict=True) for number in pair]
    axes = range(len(grid))
    order = [0, *(2 + 2 * axis for axis in axes), *(3 + 2 * axis for axis in axes), 1]
    parts = images.reshape(*images.shape[:2], *sides).permute(order)
    return parts.reshape(len(images), math.prod(grid), -1)


def unpatchify(tokens: Tensor, patch_size: Sequence[int], grid: Sequence[int]) -> Tensor:
    """The images [B, C, *spatial] that `patchify` turned into these tokens [B, N, P * C] of a grid."""
    dims = len(grid)
    parts = tokens.reshape(len(tokens), *grid, *patch_size, -1)
    order = [
        0,
        parts.ndim - 1,
        *(axis for pair in zip(range(1, 1 + dims), range(1 + dims, 1 + 2 * dims), strict=True) for axis in pair),
    ]
    sides = [count * side for count, side in zip(grid, patch_size, strict=True)]
    return parts.permute(order).reshape(len(tokens), -1, *sides)


def patch_size_of(spatial: Sequence[int], grid: Sequence[int]) -> tuple[int, ...]:
    """Voxels of a token along the spatial axes, of an image and its grid of tokens.

    Raises:
        ValueError: The grid does not divide the image.
    """
    if len(spatial) != len(grid) or any(side % count for side, count in zip(spatial, grid, strict=True)):
        raise ValueError(f"The tokens of an image share its voxels evenly; found {tuple(spatial)} and {tuple(grid)}.")
    return tuple(side // count for side, count in zip(spatial, grid, strict=True))


def _grid(spatial: Sequence[int], patch_size: Sequence[int]) -> tuple[int, ...]:
    if len(spatial) != len(patch_size) or any(side % patch for side, patch in zip(spatial, patch_size, strict=True)):
        raise ValueError(
            f"An image must be whole tokens; found {tuple(spatial)} with tokens of {tuple(patch_size)}. "
            "Pad or crop the image, or choose another patch_size."
        )
    return tuple(side // patch for side, patch in zip(spatial, patch_size, strict=True))
