"""One image as an encoder sees it, what is marked in it on the same grid, and the way back to the source."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from MaskWhatMattersLib.datasets.cases import looks_like_ct
from MaskWhatMattersLib.datasets.image_preprocessing import ImagePreprocessing
from MaskWhatMattersLib.datasets.preparation import grey_by_percentiles, grey_by_window, resample_smoothed
from MaskWhatMattersLib.errors import GeometryError, InputError
from MaskWhatMattersLib.volumes import Volume, orient, require_3d, require_finite, require_scalar, resample_like

_MOST_LABEL = 255
_ALIGNED = 1e-3
"""Largest share of another axis in the step of one, in voxels, that counts as the same direction."""
_CUT_ORIENTATIONS = {"S": "LPS", "I": "LPS", "A": "LIP", "P": "LIP", "R": "PIR", "L": "PIR"}
"""By where the one-voxel axis leads: the grid whose k is that axis and whose rows and columns are the picture's."""


def prepare_image(volume: Volume, preprocessing: ImagePreprocessing) -> Volume:
    """The image as an encoder sees it, before the z-score.

    In 2D every slice is kept: a volume gives all of its axial slices, as looked at (the patient's right on the left,
    anterior on top), and a picture or single slice gives itself.

    Args:
        volume: Scalar image, any orientation and spacing.
        preprocessing: Size or spacing, and grey values.

    Returns:
        uint8 from 0 to 255: [1, D, H, W] along S, A and R in 3D, [1, slices, H, W] in 2D.

    Raises:
        InputError: Several channels, voxels that are not finite, or no contrast.
        GeometryError: A single slice in 3D.
    """
    require_finite(require_scalar(volume))
    if preprocessing.spatial_dims == 3:
        upright = orient(require_3d(volume), "RAS")
        prepared = resample_smoothed(upright, preprocessing.spacing_mm or upright.spacing_mm)
    else:
        upright = orient(volume, _cut_orientation(volume))
        prepared = resample_smoothed(upright, _square_pixels(upright, preprocessing.longest_side))
    return replace(prepared, array=_grey(prepared, preprocessing, is_ct=_is_ct(volume)))


def prepare_marks(marks: Volume, prepared: Volume, kind: Literal["region", "labels"]) -> Volume:
    """A region or a label map on the grid of a prepared image.

    Args:
        marks: On the grid of the image that `prepared` was made from; region: 0 is outside, anything else inside.
        prepared: From `prepare_image`.
        kind: "labels" takes the nearest voxel; "region" holds every voxel into which any voxel of the region falls,
            so that nothing vanishes.

    Returns:
        uint8 [1, D, H, W].

    Raises:
        InputError: Several channels, or labels that are not whole numbers from 0 to 255.
        GeometryError: A region on a grid that is turned against the prepared one.
    """
    require_scalar(marks)
    if kind == "labels":
        labels = marks.with_array(as_labels(marks))
        return replace(resample_like(labels, prepared, "nearest", fill=None), affine=prepared.affine)
    return prepared.with_array(_spread(marks.with_array(marks.array != 0), prepared))


def valid_voxels(volume: Volume) -> Volume:
    """Which voxels hold an image: not zero padding, a removed face or what is outside of a stripped skull.

    Args:
        volume: As stored, before any windowing.

    Returns:
        Truth values [1, D, H, W]; False for voxels that hold exactly the lowest value of the image together with all
        of their neighbours.
    """
    empty = (volume.array == volume.array.min()).all(axis=0)
    for axis in range(3):
        ahead = [slice(None)] * 3
        behind = [slice(None)] * 3
        ahead[axis], behind[axis] = slice(1, None), slice(None, -1)
        whole = empty.copy()
        whole[tuple(ahead)] &= empty[tuple(behind)]
        whole[tuple(behind)] &= empty[tuple(ahead)]
        empty = whole
    return volume.with_array(~empty[None])


def back_to_source(label_map: Volume, source: Volume) -> Volume:
    """A label map on the grid of a prepared image, brought to the image that it was prepared from.

    Where the preparation made no axis coarser, a label map comes back voxel for voxel.

    Returns:
        [C, D, H, W] in the type of `label_map`, on the grid of `source`.
    """
    return replace(resample_like(label_map, source, "nearest", fill=None), affine=source.affine)


def as_labels(label_map: Volume) -> NDArray[np.uint8]:
    """The values of a label map as bytes.

    Raises:
        InputError: Not whole numbers from 0 to 255.
    """
    array = label_map.array
    low, high = float(array.min()), float(array.max())
    if low < 0 or high > _MOST_LABEL or (array.dtype.kind == "f" and not np.array_equal(array, np.rint(array))):
        raise InputError(
            f'The label map "{label_map.name}" must hold whole numbers from 0 to {_MOST_LABEL}; found values from '
            f"{low:g} to {high:g} of the type {array.dtype}. Save it as a label map with few labels."
        )
    return array.astype(np.uint8)


def _cut_orientation(volume: Volume) -> str:
    """Axial slices of a volume; a single slice as it is."""
    flat = [
        letter for letter, length in zip(volume.orientation, volume.spatial_shape[::-1], strict=True) if length == 1
    ]
    return _CUT_ORIENTATIONS[flat[-1] if flat else "S"]


def _square_pixels(volume: Volume, longest_side: int) -> tuple[float, float, float]:
    """Voxel size along i, j and k at which the longer side of the slices has so many pixels, mm."""
    width_mm, height_mm, thickness_mm = volume.spacing_mm
    _, height, width = volume.spatial_shape
    pixel_mm = max(width * width_mm, height * height_mm) / longest_side
    return pixel_mm, pixel_mm, thickness_mm


def _is_ct(volume: Volume) -> bool:
    """Whether the values are Hounsfield units; those of a picture never are."""
    return volume.has_physical_scale and looks_like_ct(volume)


def _grey(volume: Volume, preprocessing: ImagePreprocessing, *, is_ct: bool) -> NDArray[np.uint8]:
    if not is_ct:
        return grey_by_percentiles(volume, preprocessing.low_percentile, preprocessing.high_percentile)
    low, high = preprocessing.ct_window_hu
    grey = grey_by_window(volume, low, high)
    if grey.min() == grey.max():
        raise InputError(
            f'The CT "{volume.name}" shows nothing in the window from {low:g} to {high:g} HU; its values lie between '
            f"{float(volume.array.min()):g} and {float(volume.array.max()):g}. Check that they are Hounsfield units, "
            "or choose another ct_window_hu."
        )
    return grey


def _spread(region: Volume, prepared: Volume) -> NDArray[np.uint8]:
    """Voxels of the prepared grid that show any voxel of the region, axis by axis, [1, D, H, W]."""
    upright = orient(region, prepared.orientation)
    steps = np.linalg.inv(prepared.affine) @ upright.affine
    if np.abs(steps[:3, :3] - np.diag(np.diag(steps[:3, :3]))).max() > _ALIGNED:
        raise GeometryError(
            f'The region of "{region.name}" does not lie on the grid of its image. Resample it to the image first.'
        )
    inside: NDArray[Any] = upright.array[0]
    for axis, length in enumerate(prepared.spatial_shape):
        column = 2 - axis
        inside = _spread_along(inside, axis, length, float(steps[column, column]), float(steps[column, 3]))
    return inside[None].astype(np.uint8)


def _spread_along(inside: NDArray[np.bool_], axis: int, length: int, step: float, first: float) -> NDArray[np.bool_]:
    """One axis to another length: each new voxel is its nearest old one, or any old one whose centre lies in it.

    Args:
        inside: Truth values.
        axis: Which axis changes.
        length: New voxels along it.
        step: Of one old voxel, in new ones.
        first: Where the first old voxel lies, in new voxels.
    """
    old = inside.shape[axis]
    if length == old and abs(step - 1) < _ALIGNED and abs(first) < _ALIGNED:
        return inside
    nearest = np.clip(np.rint((np.arange(length) - first) / step), 0, old - 1).astype(int)
    result: NDArray[np.bool_] = np.take(inside, nearest, axis)
    falls_into = np.clip(np.rint(np.arange(old) * step + first), 0, length - 1).astype(int)
    reached, starts = np.unique(falls_into, return_index=True)
    fallen = np.logical_or.reduceat(inside, starts, axis=axis)
    at: tuple[Any, ...] = (*[slice(None)] * axis, reached)
    result[at] |= fallen
    return result
