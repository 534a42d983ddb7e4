"""Change the grid of a volume without touching a value: orient, crop, pad."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from MaskWhatMattersLib.errors import GeometryError
from MaskWhatMattersLib.volumes.geometry import Affine, axes_of_orientation, nearest_axes, to_ijk, to_ras
from MaskWhatMattersLib.volumes.volume import Volume


def orient(volume: Volume, orientation: str = "RAS") -> Volume:
    """Reorder and flip the voxel axes so that they follow the named ones as well as they can.

    No value is interpolated, every voxel stays where it is in the patient, an oblique grid stays oblique.
    `orient(result, volume.orientation)` gives the source grid back, voxel by voxel.

    Raises:
        GeometryError: Not the name of an orientation.
    """
    wanted = axes_of_orientation(orientation)
    found = nearest_axes(volume.affine)
    worlds = [world for world, _ in found]
    order = [worlds.index(world) for world, _ in wanted]
    flipped = [found[axis][1] != sign for axis, (_, sign) in zip(order, wanted, strict=True)]
    if order == [0, 1, 2] and not any(flipped):
        return volume

    # Array axes are [C, k, j, i]: voxel axis n is array axis 3 - n.
    array = volume.array.transpose(0, *(3 - axis for axis in reversed(order)))
    array = array[(slice(None), *(slice(None, None, -1 if flip else 1) for flip in reversed(flipped)))]
    last = np.array(volume.spatial_shape[::-1]) - 1
    steps = np.zeros((4, 4))
    steps[3, 3] = 1
    for new_axis, (axis, flip) in enumerate(zip(order, flipped, strict=True)):
        steps[axis, new_axis] = -1 if flip else 1
        steps[axis, 3] = last[axis] if flip else 0
    return replace(volume, array=np.ascontiguousarray(array), affine=volume.affine @ steps)


def crop(volume: Volume, lower_ijk: Sequence[int], upper_ijk: Sequence[int]) -> Volume:
    """The box of voxels from `lower_ijk` (included) to `upper_ijk` (excluded).

    Raises:
        GeometryError: The box is empty or leaves the volume.
    """
    lower, upper = _three_integers(lower_ijk), _three_integers(upper_ijk)
    size = volume.spatial_shape[::-1]
    if any(not 0 <= low < high <= length for low, high, length in zip(lower, upper, size, strict=True)):
        raise GeometryError(
            f"The box to crop must lie in the volume of {size} voxels (i, j, k) and hold at least one; "
            f"found {tuple(lower)} to {tuple(upper)}. Clip it to the volume first, or pad the volume."
        )
    (i, j, k), (i_end, j_end, k_end) = lower, upper
    array = volume.array[:, k:k_end, j:j_end, i:i_end].copy()
    return replace(volume, array=array, affine=_moved(volume.affine, lower))


def crop_around(volume: Volume, box: tuple[slice, slice, slice], grid: Volume, margin_mm: float = 0.0) -> Volume:
    """The part of a volume that holds a box of voxels of another grid.

    Args:
        volume: What to crop.
        box: Slices along D, H and W of `grid`; whole voxels, up to their outer corners.
        grid: Over the same patient; its values do not matter.
        margin_mm: To every side of the box, as far as the volume goes.
    """
    first = np.array([side.start for side in reversed(box)], dtype=np.float64)
    last = np.array([side.stop for side in reversed(box)], dtype=np.float64)
    margin = margin_mm / np.array(grid.spacing_mm)
    ends = np.stack([first - margin, last + margin]) - 0.5
    corners = np.array([[ends[i, 0], ends[j, 1], ends[k, 2]] for i in (0, 1) for j in (0, 1) for k in (0, 1)])
    inside = to_ijk(to_ras(corners, grid.affine), volume.affine)
    lower, upper = inside.min(0) + 0.5, inside.max(0) + 0.5
    size = np.array(volume.spatial_shape[::-1])
    start = np.clip(np.floor(lower + 1e-6).astype(int), 0, size - 1)
    stop = np.clip(np.ceil(upper - 1e-6).astype(int), start + 1, size)
    return crop(volume, start.tolist(), stop.tolist())


def pad(volume: Volume, before_ijk: Sequence[int], after_ijk: Sequence[int], value: float = 0.0) -> Volume:
    """Voxels of one value around the volume; `crop` is the way back.

    Raises:
        GeometryError: A negative width.
    """
    before, after = _three_integers(before_ijk), _three_integers(after_ijk)
    if min(*before, *after) < 0:
        raise GeometryError(
            f"Padding must not be negative; found {tuple(before)} and {tuple(after)}. Use crop to cut voxels off."
        )
    widths = [(0, 0), *zip(reversed(before), reversed(after), strict=True)]
    array = np.pad(volume.array, widths, constant_values=value)
    return replace(volume, array=array, affine=_moved(volume.affine, [-step for step in before]))


def _moved(affine: Affine, first_ijk: Sequence[int]) -> Affine:
    """The affine of a grid whose first voxel is at `first_ijk` of this one."""
    moved = affine.copy()
    moved[:3, 3] = to_ras(first_ijk, affine)
    return moved


def _three_integers(values: Sequence[int]) -> list[int]:
    numbers = [int(value) for value in values]
    if len(numbers) != 3 or any(number != value for number, value in zip(numbers, values, strict=True)):
        raise GeometryError(f"Voxel indices are three whole numbers (i, j, k); found {list(values)}. Round them first.")
    return numbers
