"""From a scan to what the MASS network sees, and marks on the same voxels; the same in training and application."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from MaskWhatMattersLib.datasets.cases import looks_like_ct
from MaskWhatMattersLib.datasets.preparation import resample_smoothed, smoothing_sigma
from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.mass.preprocessing import MassPreprocessing
from MaskWhatMattersLib.mass.proposals.body import body_mask
from MaskWhatMattersLib.volumes import (
    Volume,
    crop,
    orient,
    percentile_range,
    require_3d,
    require_finite,
    require_scalar,
    resample_like,
    to_source,
)

__all__ = ["Prepared", "fitting_spacing", "masks_on", "prepare", "to_source"]

_MOST_VOXELS = 1_000_000_000  # 4 GB, once
_MARGIN_MM = 20.0
"""Kept around the body, as in the preparation of unlabelled scans of MASS."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """A scan as the network sees it.

    Attributes:
        volume: float32 [1, D, H, W], axes S, A and R, cubic voxels, cut to the body and a margin; clipped, then
            z-scored over what is left. Beyond its faces, 0 (the mean) is what the network expects.
        mean: Of the clipped values before the z-score.
        deviation: Of the clipped values before the z-score.
        is_ct: Whether the values were taken for Hounsfield units.
    """

    volume: Volume
    mean: float
    deviation: float
    is_ct: bool


def prepare(volume: Volume, preprocessing: MassPreprocessing, spacing_mm: float | None = None) -> Prepared:
    """Turn to RAS, resample, cut to the body, clip and normalise (MASS, arXiv 2603.13660, preparation and inference).

    The released code normalises a target over its cut body, and a reference over its crop alone; here both are
    normalised over the cut body, as in pretraining, and `MassPreprocessing.normalise` is left to the caller.

    Args:
        volume: Scalar image, any orientation and spacing.
        preprocessing: Spacing and grey values.
        spacing_mm: Another spacing, for a coarse look or a task with a spacing of its own.

    Raises:
        InputError: Several channels, voxels that are not finite, the same value everywhere, or too many voxels.
        GeometryError: A single slice.
    """
    require_finite(require_3d(require_scalar(volume)))
    is_ct = looks_like_ct(volume)
    spacing_mm = spacing_mm or preprocessing.spacing_mm
    _require_fitting(volume, spacing_mm)
    whole = resample_smoothed(orient(volume, "RAS"), spacing_mm)
    cut = _cut_to(body_mask(whole, is_ct), whole)
    low, high = preprocessing.ct_clip if is_ct else percentile_range(cut.array, *preprocessing.percentiles)
    clipped = np.clip(cut.array, low, high)
    if clipped.min() == clipped.max():  # nearly all voxels have one value, so that the limits show no contrast
        clipped = cut.array
    mean, deviation = float(clipped.mean(dtype=np.float64)), float(clipped.std(dtype=np.float64))
    if clipped.min() == clipped.max():
        raise InputError(
            f'The scan "{volume.name}" is the same everywhere; found the value {float(clipped.min()):g} in all of its '
            f"{volume.array.size} voxels. Choose an image with contrast."
        )
    values = ((clipped - mean) / deviation).astype(np.float32)
    return Prepared(replace(cut, array=values), mean, deviation, is_ct)


def fitting_spacing(volume: Volume, preprocessing: MassPreprocessing, window: int) -> float:
    """Spacing at which a scan is looked at, mm: the model's, or finer for a field that would not fill a window.

    Never finer than the scan's own finest axis, where there is nothing more to see.

    Args:
        volume: Scan.
        preprocessing: The model's.
        window: Side of a window, voxels.
    """
    longest_mm = max(n * mm for n, mm in zip(reversed(volume.spatial_shape), volume.spacing_mm, strict=True))
    return min(preprocessing.spacing_mm, max(longest_mm / window, min(volume.spacing_mm)))


def masks_on(prepared: Prepared, masks: Volume) -> NDArray[np.uint8]:
    """Masks on the voxels of a prepared scan: 1 where half or more of a voxel belongs to it.

    A mask too fine for these voxels is kept where it is strongest instead of vanishing.

    Args:
        prepared: From `prepare`.
        masks: 0 and anything else, [K, D, H, W], anywhere.

    Returns:
        uint8 0 and 1, [K, D, H, W].
    """
    grid = prepared.volume
    upright = orient(masks, "RAS")
    factors = [new / old for new, old in zip(grid.spacing_mm, upright.spacing_mm, strict=True)]
    sigmas = [smoothing_sigma(factor) for factor in reversed(factors)]
    result = np.zeros((masks.channels, *grid.spatial_shape), np.uint8)
    for index, mask in enumerate(upright.array):  # one at a time: floats of a large scan with many labels do not fit
        share = (mask != 0).astype(np.float32)
        for axis, sigma in enumerate(sigmas):
            if sigma > 0:
                share = ndimage.gaussian_filter1d(share, sigma, axis=axis, mode="nearest")
        moved = resample_like(replace(upright, array=share[None]), grid).array[0]
        limit = min(0.5, float(moved.max()))
        if limit > 0:
            result[index] = moved >= limit
    return result


def _require_fitting(volume: Volume, spacing_mm: float) -> None:
    """Refuse what would not fit into memory, for example a whole body at the spacing of an inner ear."""
    voxels = volume.voxel_volume_ml * 1000 / spacing_mm**3 * math.prod(volume.spatial_shape)
    if voxels > _MOST_VOXELS:
        raise InputError(
            f'The scan "{volume.name}" would have {voxels / 1e6:,.0f} million voxels of {spacing_mm:g} mm; at most '
            f"{_MOST_VOXELS / 1e6:,.0f} million are looked at. Choose a larger spacing, or cut the scan to the "
            "part that matters."
        )


def _cut_to(body: NDArray[np.bool_], volume: Volume) -> Volume:
    """The box around the body with a margin; everything where there is no body."""
    lower, upper = [], []
    for axis, spacing in zip((2, 1, 0), volume.spacing_mm, strict=True):  # i, j and k
        inside = np.flatnonzero(body.any(axis=tuple(other for other in range(3) if other != axis)))
        margin = round(_MARGIN_MM / spacing)
        length = body.shape[axis]
        lower.append(max(0, int(inside[0]) - margin) if inside.size else 0)
        upper.append(min(length, int(inside[-1]) + 1 + margin) if inside.size else length)
    return crop(volume, lower, upper)
