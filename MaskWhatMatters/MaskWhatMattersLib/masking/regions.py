"""From what was found in an image to its relevant region, and from the region to relevant tokens."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.masking.config import RegionConfig
from MaskWhatMattersLib.volumes import Volume

if TYPE_CHECKING:
    from torch import Tensor

    from MaskWhatMattersLib.relevance.relevance_map import RelevanceMap

_EPSILON = 1e-6  # voxels; a box that ends on a voxel's centre takes it in, whatever floats make of the sum


def region_of(relevance: Sequence[RelevanceMap] | Volume, config: RegionConfig) -> Volume:
    """The relevant region of an image, on the image's own grid.

    Args:
        relevance: What prompts found, all on one grid, of which the union is taken at `config.threshold`; or a label
            map, of which every value but 0 counts.
        config: Threshold, boxes and how far they reach beyond the pieces. A picture has no millimetres, so
            `expand_mm` leaves it as it is.

    Returns:
        uint8 0/1, [1, D, H, W]; all 0 where nothing was found.

    Raises:
        InputError: No map, or maps on different grids.
    """
    if isinstance(relevance, Volume):
        volume, found = relevance, (relevance.array != 0).any(axis=0)
    else:
        if not relevance:
            raise InputError("There is no relevance map to take a region from. Give at least one prompt.")
        masks = [answer.mask(config.threshold) for answer in relevance]
        shapes = {mask.spatial_shape for mask in masks}
        if len(shapes) > 1:
            raise InputError(f"The relevance maps must lie on one grid; found the sizes {sorted(shapes)}.")
        volume, found = masks[0], np.logical_or.reduce([mask.array[0] for mask in masks])
    if config.box and found.any():
        found = _boxes(found, volume, config)
    return volume.with_array(found.astype(np.uint8)[np.newaxis])


def token_relevance(
    region: Tensor, grid: Sequence[int], rule: Literal["area", "nearest"] = "area", area_share: float = 0.25
) -> Tensor:
    """Which tokens belong to a region.

    By area, a token belongs to it from the covered share on; so does every token that is touched and has no such
    neighbour, so that a small lesion never vanishes. By the nearest rule the voxel in the middle of the token decides
    (Mask What Matters, arXiv:2509.23054), and what lies between those voxels is lost.

    Args:
        region: True in the region, bool [B, *spatial]; each side is a multiple of that of the grid.
        grid: Tokens along the spatial axes.
        rule: "area" or "nearest".
        area_share: Covered share from which a token belongs to the region, 0..1.

    Returns:
        bool [B, *grid].

    Raises:
        InputError: The region is not made of whole tokens.
    """
    spatial = tuple(region.shape[1:])
    if len(spatial) != len(grid) or any(side % tokens for side, tokens in zip(spatial, grid, strict=True)):
        raise InputError(
            f"A region must be made of whole tokens; found {list(spatial)} voxels for {list(grid)} tokens. "
            "Crop or pad the image first."
        )
    patch = [side // tokens for side, tokens in zip(spatial, grid, strict=True)]
    if rule == "nearest":
        middle = tuple(slice(side // 2, None, side) for side in patch)
        return region[(slice(None), *middle)].bool()
    covered = _voxels_in_tokens(region, grid, patch)
    touched = covered > 0
    belongs = touched & (covered >= math.ceil(area_share * math.prod(patch) - _EPSILON))
    return belongs | (touched & ~_beside(belongs))


def _boxes(found: NDArray[np.bool_], volume: Volume, config: RegionConfig) -> NDArray[np.bool_]:
    """Each connected piece as its expanded bounding box, [D, H, W]."""
    from scipy import ndimage

    pieces, _ = ndimage.label(found, structure=np.ones((3,) * found.ndim))
    beyond_mm = config.expand_mm if volume.has_physical_scale else 0.0
    beyond = [beyond_mm / step_mm for step_mm in reversed(volume.spacing_mm)]  # spacing is i, j, k; arrays are k, j, i
    filled = np.zeros_like(found)
    for box in ndimage.find_objects(pieces):
        expanded = zip(box, beyond, strict=True)
        filled[tuple(_expanded(side, config.expand, voxels) for side, voxels in expanded)] = True
    return filled


def _expanded(side: slice, factor: float, beyond: float) -> slice:
    """Voxels whose centre lies in the expanded side of a box; what leaves the image is cut by indexing."""
    centre, half = (side.start + side.stop) / 2, (side.stop - side.start) / 2 * factor + beyond
    first = math.ceil(centre - half - 0.5 - _EPSILON)
    return slice(max(first, 0), math.floor(centre + half - 0.5 + _EPSILON) + 1)


def _voxels_in_tokens(region: Tensor, grid: Sequence[int], patch: Sequence[int]) -> Tensor:
    """How many voxels of each token lie in the region, int32 [B, *grid]."""
    import torch

    voxels = region.bool().contiguous().view(torch.uint8).reshape(len(region), grid[0], patch[0], -1)
    in_eights = voxels.shape[-1] % 8 == 0 and voxels.storage_offset() % 8 == 0
    if in_eights and patch[0] < 256:  # eight voxels are added at a time and none can overflow: eight times as fast
        columns = voxels.view(torch.int64).sum(dim=2).view(torch.uint8)
    else:
        columns = voxels.sum(dim=2, dtype=torch.int32)
    sides = [side for pair in zip(grid[1:], patch[1:], strict=True) for side in pair]
    inner = tuple(range(3, 2 + 2 * len(grid[1:]), 2))
    return columns.reshape(len(region), grid[0], *sides).sum(dim=inner, dtype=torch.int32)


def _beside(tokens: Tensor) -> Tensor:
    """Tokens that are, or touch at a side, edge or corner, one of these, bool [B, *grid]."""
    for axis in range(1, tokens.ndim):  # ten times faster than pooling on a CPU
        length = tokens.shape[axis] - 1
        first, last = tokens.narrow(axis, 0, length), tokens.narrow(axis, 1, length)
        wider = tokens.clone()
        wider.narrow(axis, 1, length).logical_or_(first)
        wider.narrow(axis, 0, length).logical_or_(last)
        tokens = wider
    return tokens
