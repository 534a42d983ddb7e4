"""What a step may ask of a volume before it starts; each returns the volume, so that checks chain."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from MaskWhatMattersLib.errors import GeometryError, InputError
from MaskWhatMattersLib.volumes.geometry import to_ras
from MaskWhatMattersLib.volumes.volume import Volume

_SAME_PLACE_MM = 0.01
"""Corners of two grids may be this far apart: headers round, and a hundredth of a millimetre moves no label."""


def require_scalar(volume: Volume) -> Volume:
    """One value per voxel.

    Raises:
        InputError: Several channels.
    """
    if volume.channels != 1:
        raise InputError(
            f"{_called(volume)} must have one value per voxel; found {volume.channels} "
            "(colour, a vector image, or the frames of a time series). Convert it to grey, or extract one of them."
        )
    return volume


def require_3d(volume: Volume) -> Volume:
    """More than one voxel along every axis.

    Raises:
        GeometryError: A single slice.
    """
    if volume.is_single_slice:
        depth, height, width = volume.spatial_shape
        raise GeometryError(
            f"{_called(volume)} must be three-dimensional; found a single slice of {width} x {height} x {depth} voxels "
            "(i, j, k). Load the whole series instead of one slice."
        )
    return volume


def require_finite(volume: Volume) -> Volume:
    """No NaN and no infinity.

    Raises:
        InputError: Says how many voxels, and how to replace them.
    """
    bad = count_not_finite(volume)
    if bad:
        raise InputError(
            f"{_called(volume)} must hold a number in every voxel; found {bad} of {volume.array.size} that are NaN or "
            "infinite. Replace them: read_volume(path, replace_nan=0), or replace_not_finite(volume, 0)."
        )
    return volume


def replace_not_finite(volume: Volume, value: float) -> Volume:
    """The volume with `value` in place of NaN and infinities.

    Raises:
        InputError: The value is not finite itself.
    """
    if not math.isfinite(value):
        raise InputError(
            f"NaN voxels must be replaced by a finite number; found {value}. Use 0, or -1024 for air in CT."
        )
    if not count_not_finite(volume):
        return volume
    return replace(volume, array=np.nan_to_num(volume.array, nan=value, posinf=value, neginf=value))


def require_same_grid(label_map: Volume, image: Volume, name: str) -> Volume:
    """The label map, whose voxels lie on those of the image.

    Args:
        label_map: What was drawn.
        image: What it was drawn on.
        name: What the person calls the image.

    Raises:
        GeometryError: Another size, or another place in the patient.
    """
    advice = "Draw the label map on this very image, or resample it to the image's grid."
    if image.spatial_shape != label_map.spatial_shape:
        raise GeometryError(
            f"The label map of {name} does not lie on its image's grid; found {_size(label_map)} voxels (i, j, k) "
            f"for an image of {_size(image)}. {advice}"
        )
    last = np.array(image.spatial_shape[::-1]) - 1
    corners = np.array([[i, j, k] for i in (0, last[0]) for j in (0, last[1]) for k in (0, last[2])])
    apart_mm = float(np.linalg.norm(to_ras(corners, image.affine) - to_ras(corners, label_map.affine), axis=1).max())
    if apart_mm > _SAME_PLACE_MM:
        raise GeometryError(
            f"The label map of {name} does not lie on its image's grid; their corners are up to {apart_mm:.2f} mm "
            f"apart, with the affines {_rows(label_map)} and {_rows(image)} (image). {advice}"
        )
    return label_map


def count_not_finite(volume: Volume) -> int:
    """How many values are NaN or infinite."""
    if volume.array.dtype.kind != "f":
        return 0
    # Slice by slice: a truth value per voxel of a whole-body CT would be another gigabyte.
    slices = volume.array.reshape(-1, *volume.array.shape[2:])
    return sum(int(part.size - np.count_nonzero(np.isfinite(part))) for part in slices)


def _called(volume: Volume) -> str:
    return f'The volume "{volume.name}"' if volume.name else "The volume"


def _size(volume: Volume) -> str:
    return " x ".join(map(str, volume.spatial_shape[::-1]))


def _rows(volume: Volume) -> str:
    return str(volume.affine[:3].round(4).tolist())
