"""Resampling: to another spacing, and onto the grid of another volume (the way back).

Linear interpolation does not smooth before it takes away voxels: smooth first where a much coarser grid is wanted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import SimpleITK
from numpy.typing import NDArray

from MaskWhatMattersLib.errors import GeometryError, InputError
from MaskWhatMattersLib.volumes.geometry import Affine, direction_of, lps_from_ras, spacing_of, to_ras
from MaskWhatMattersLib.volumes.grid import pad
from MaskWhatMattersLib.volumes.sitk_images import image_from_array
from MaskWhatMattersLib.volumes.volume import Volume

sitk: Any = SimpleITK  # it declares hardly any types

Interpolation = Literal["linear", "nearest"]

_INTERPOLATORS = {"linear": sitk.sitkLinear, "nearest": sitk.sitkNearestNeighbor}
_SAME_PLACE_VOXELS = 1e-3
_MOST_VOXELS = 2**32


def resample_to_spacing(
    volume: Volume, spacing_mm: float | Sequence[float], interpolation: Interpolation = "linear"
) -> Volume:
    """The same field of view with voxels of another size.

    The outer corner of the first voxel stays where it is; the far end moves by half a new voxel at most. Values beyond
    the last voxel centres repeat the nearest one. An axis of one voxel stays as it is. Where no axis gets coarser,
    nearest there and nearest back with `resample_like(result, volume, "nearest")` is voxel-identical.

    Args:
        volume: Any volume.
        spacing_mm: One number, or three for i, j and k.
        interpolation: "linear" gives float32 (float64 for float64 input), "nearest" keeps the type.

    Raises:
        GeometryError: A spacing that is not positive, or a grid beyond 4 billion voxels.
    """
    wanted = np.broadcast_to(np.asarray(spacing_mm, dtype=np.float64), (3,)) if _is_triple(spacing_mm) else np.zeros(3)
    if not (np.isfinite(wanted).all() and (wanted > 0).all()):
        raise GeometryError(
            f"The spacing must be one or three positive numbers in mm; found {spacing_mm!r}. Use for example 1.0."
        )
    size = np.array(volume.spatial_shape[::-1])
    spacing = np.where(size == 1, volume.spacing_mm, wanted)
    new_size = np.maximum(1, np.round(size * volume.spacing_mm / spacing))
    if new_size.prod() > _MOST_VOXELS:
        raise GeometryError(
            f"The new grid would have {new_size.prod():.3g} voxels at {spacing.tolist()} mm. Choose a larger spacing."
        )
    affine = volume.affine.copy()
    affine[:3, :3] = volume.direction * spacing
    affine[:3, 3] = to_ras((spacing / volume.spacing_mm - 1) / 2, volume.affine)
    width, height, depth = (int(length) for length in new_size)
    return _resample(volume, affine, (depth, height, width), interpolation, fill=None)


def resample_like(
    volume: Volume, reference: Volume, interpolation: Interpolation = "linear", fill: float | None = 0.0
) -> Volume:
    """The volume on the grid of another one; `fill` where that grid leaves the volume, None for its nearest voxel.

    Where the voxels of both grids coincide (after `orient`, `crop` or `pad`) values are copied, not interpolated.

    Args:
        volume: What to resample, [C, D, H, W].
        reference: Gives the grid; its values do not matter.
        interpolation: As in `resample_to_spacing`.
        fill: Value outside of the volume, which must fit the type of the result; None repeats the nearest voxel.

    Raises:
        InputError: An unknown interpolation, or a fill value that the type cannot hold.
    """
    return _resample(volume, reference.affine, reference.spatial_shape, interpolation, fill)


def to_source(values: Volume, source: Volume) -> NDArray[np.float32]:
    """Values on a prepared grid, interpolated linearly to the image that it was prepared from, [D, H, W].

    0 where the image goes further than the prepared grid.
    """
    # One voxel more to every side: the image may end half a voxel beyond the prepared one.
    grid = pad(values, (1, 1, 1), (1, 1, 1))
    edged = np.pad(values.array, ((0, 0), (1, 1), (1, 1), (1, 1)), mode="edge")
    answer: NDArray[np.float32] = resample_like(replace(grid, array=edged), source).array[0]
    return answer


def _resample(
    volume: Volume, affine: Affine, shape: tuple[int, int, int], interpolation: str, fill: float | None
) -> Volume:
    """Resample onto a grid; `fill` None repeats the nearest voxel outside."""
    if interpolation not in _INTERPOLATORS:
        raise InputError(f"Unknown interpolation {interpolation!r}. Use linear or nearest.")
    array = volume.array
    if interpolation == "linear" and array.dtype != np.float64:
        array = array.astype(np.float32, copy=False)
    _check_fill(fill, array.dtype)
    copied = _copy_voxels(array, np.linalg.inv(volume.affine) @ affine, shape, fill)
    if copied is None:
        copied = np.empty((volume.channels, *shape), array.dtype)
        for channel, values in enumerate(array):
            copied[channel] = _interpolate(values, volume.affine, affine, shape, interpolation, fill)
    return replace(volume, array=copied, affine=affine)


def _interpolate(
    values: NDArray[Any],
    source: Affine,
    target: Affine,
    shape: tuple[int, int, int],
    interpolation: str,
    fill: float | None,
) -> NDArray[Any]:
    target_lps = lps_from_ras(target)
    resampled = sitk.Resample(
        image_from_array(values, source),
        tuple(reversed(shape)),
        sitk.Transform(3, sitk.sitkIdentity),
        _INTERPOLATORS[interpolation],
        target_lps[:3, 3].tolist(),
        spacing_of(target_lps),
        direction_of(target_lps).ravel().tolist(),
        fill or 0.0,
        sitk.sitkUnknown,
        fill is None,
    )
    return np.asarray(sitk.GetArrayViewFromImage(resampled)).astype(values.dtype)


def _copy_voxels(
    array: NDArray[Any], source_from_target: Affine, shape: tuple[int, int, int], fill: float | None
) -> NDArray[Any] | None:
    """Values at the voxels of another grid if those are voxels of this one too; None otherwise.

    Args:
        array: [C, D, H, W].
        source_from_target: (i, j, k) of the wanted grid to continuous (i, j, k) of the array.
        shape: Wanted D, H, W.
        fill: Value outside; None needs every voxel inside.
    """
    steps = np.round(source_from_target)
    corners = np.array(np.meshgrid(*[(0, length - 1) for length in reversed(shape)])).reshape(3, -1).T
    gap = np.abs(to_ras(corners, source_from_target) - to_ras(corners, steps)).max()
    if gap > _SAME_PLACE_VOXELS or not _is_signed_permutation(steps[:3, :3]):
        return None
    source_axes = [int(np.flatnonzero(column)[0]) for column in steps[:3, :3].T]
    reordered = array.transpose(0, *(3 - axis for axis in reversed(source_axes)))
    read: list[slice] = []
    write: list[slice] = []
    for array_axis, length in enumerate(shape):
        column = 2 - array_axis
        step, first = int(steps[source_axes[column], column]), int(steps[source_axes[column], 3])
        indices = first + step * np.arange(length)
        inside = np.flatnonzero((indices >= 0) & (indices < reordered.shape[array_axis + 1]))
        if inside.size < length and fill is None:
            return None
        write.append(slice(inside[0], inside[-1] + 1) if inside.size else slice(0, 0))
        read.append(_slice_through(indices[inside]))
    result = np.full((array.shape[0], *shape), fill or 0, array.dtype)
    result[:, write[0], write[1], write[2]] = reordered[:, read[0], read[1], read[2]]
    return result


def _slice_through(indices: NDArray[np.int64]) -> slice:
    """Consecutive indices, rising or falling, as a slice."""
    if not indices.size:
        return slice(0, 0)
    first, last = int(indices[0]), int(indices[-1])
    if first <= last:
        return slice(first, last + 1)
    return slice(first, None if last == 0 else last - 1, -1)


def _is_signed_permutation(matrix: NDArray[np.float64]) -> bool:
    ones = np.abs(matrix)
    return bool(np.isin(ones, (0, 1)).all() and (ones.sum(0) == 1).all() and (ones.sum(1) == 1).all())


def _is_triple(spacing_mm: float | Sequence[float]) -> bool:
    return np.shape(spacing_mm) in ((), (3,))


def _check_fill(fill: float | None, dtype: np.dtype[Any]) -> None:
    if fill is None or (dtype.kind == "f" and (math.isfinite(fill) or math.isnan(fill))):
        return
    low, high = (
        (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max) if dtype.kind in "iu" else (0, -1)
    )
    if not (float(fill).is_integer() and low <= fill <= high):
        raise InputError(
            f"The fill value {fill} does not fit voxels of the type {dtype}. Use a value of that type, for example 0."
        )
