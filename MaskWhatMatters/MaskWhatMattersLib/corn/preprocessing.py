"""From a scan to what the networks see: RAS, cubic voxels, eight-bit grey; the same in training and prediction."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator
from scipy import ndimage
from torch import Tensor

from MaskWhatMattersLib.corn.report import ReviewLimits
from MaskWhatMattersLib.errors import GeometryError, InputError
from MaskWhatMattersLib.volumes import (
    Volume,
    orient,
    percentile_range,
    require_3d,
    require_finite,
    require_scalar,
    resample_to_spacing,
    window,
)

_SAME_PLACE_MM = 1e-3


class ScanPreprocessing(BaseModel):
    """How a scan is prepared; kept in `ModelCard.preprocessing`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    spacing_mm: float = Field(0.625, gt=0, description="Side of the cubic voxels.")
    low_percentile: float = Field(0.5, ge=0, le=100, description="Of the scan's values; becomes grey 0.")
    high_percentile: float = Field(99.5, ge=0, le=100, description="Of the scan's values; becomes grey 255.")
    review: ReviewLimits | None = Field(None, description="When a result asks to be reviewed; the usual when None.")

    @model_validator(mode="after")
    def _percentiles_in_order(self) -> Self:
        if self.low_percentile >= self.high_percentile:
            raise ValueError(
                f"low_percentile must be below high_percentile; found {self.low_percentile} and {self.high_percentile}"
            )
        return self


def prepare_scan(volume: Volume, preprocessing: ScanPreprocessing) -> Volume:
    """The scan as the networks see it, before the z-score.

    Args:
        volume: Scalar image, any orientation and spacing.
        preprocessing: Spacing and percentiles.

    Returns:
        uint8 [1, D, H, W] from 0 to 255, voxel axes nearest to R, A and S. Where the voxels have the wanted size
        already, they stay where they are.

    Raises:
        InputError: Several channels, voxels that are not finite, or the same value everywhere.
        GeometryError: A single slice.
    """
    require_finite(require_3d(require_scalar(volume)))
    prepared = _resampled(orient(volume, "RAS"), preprocessing.spacing_mm)
    return replace(prepared, array=_grey(prepared, preprocessing))


def prepare_label_map(label_map: Volume, scan: Volume, preprocessing: ScanPreprocessing) -> Volume:
    """Label 1 on the grid of a prepared scan: voxels of which half or more belong to it.

    Args:
        label_map: Integers on the grid of the scan that `scan` was prepared from, [1, D, H, W].
        scan: From `prepare_scan`.
        preprocessing: The same as for the scan.

    Returns:
        uint8 0 and 1, [1, D, H, W].

    Raises:
        GeometryError: The label map does not lie on the grid of the scan.
    """
    require_3d(require_scalar(label_map))
    membership = orient(label_map.with_array((label_map.array == 1).astype(np.float32)), "RAS")
    prepared = _resampled(membership, preprocessing.spacing_mm)
    if prepared.spatial_shape != scan.spatial_shape or np.abs(prepared.affine - scan.affine).max() > _SAME_PLACE_MM:
        raise GeometryError(
            f'The label map "{label_map.name}" must lie on the grid of its scan; at {preprocessing.spacing_mm} mm it '
            f"has {prepared.spatial_shape[::-1]} voxels (i, j, k) and its scan {scan.spatial_shape[::-1]}, or they "
            "lie elsewhere. Resample the label map to the scan (nearest neighbour) first."
        )
    return replace(prepared, array=(prepared.array >= 0.5).astype(np.uint8), affine=scan.affine)


def normalise(grey: Tensor) -> Tensor:
    """z-score of each image over its last three dimensions, [..., D, H, W], as float32.

    A constant image becomes 0.
    """
    values = grey.to(torch.float32)
    spread, mean = torch.std_mean(values, dim=(-3, -2, -1), correction=0, keepdim=True)
    return (values - mean) / spread.clamp_min(1e-6)


def smoothing_sigma(factor: float) -> float:
    """Standard deviation in source voxels of the Gaussian before an axis gets coarser by a factor.

    A coarse voxel should be the mean of the `factor` voxels that it covers, whose weights have a variance of
    (factor^2 - 1) / 12. Linear interpolation brings 1/4 of that where it falls between two voxels, which is the whole
    of it at a factor of 2; the Gaussian supplies the rest, sigma^2 = (factor^2 - 4) / 12.
    """
    return float(np.sqrt(max(0.0, factor**2 - 4.0) / 12.0))


def _resampled(volume: Volume, spacing_mm: float) -> Volume:
    """Linear interpolation to cubic voxels, smoothed first along the axes that get coarser; float32."""
    array: NDArray[Any] = volume.array.astype(np.float32, copy=False)
    for column, step in enumerate(volume.spacing_mm):
        sigma = smoothing_sigma(spacing_mm / step)
        if sigma > 0:
            array = ndimage.gaussian_filter1d(array, sigma, axis=3 - column, mode="nearest")
    return resample_to_spacing(replace(volume, array=array), spacing_mm)


def _grey(volume: Volume, preprocessing: ScanPreprocessing) -> NDArray[np.uint8]:
    darkest, brightest = float(volume.array.min()), float(volume.array.max())
    if darkest == brightest:
        raise InputError(
            f'The scan "{volume.name}" is the same everywhere; found the value {darkest:g} in all of its '
            f"{volume.array.size} voxels. Choose an image with contrast."
        )
    low, high = percentile_range(volume.array, preprocessing.low_percentile, preprocessing.high_percentile)
    if high <= darkest or low >= brightest:
        low, high = darkest, brightest  # nearly all voxels have one value, so that the percentiles show no contrast
    grey = window(volume.array, low, high)
    grey *= 255.0
    return np.asarray(np.rint(grey, out=grey).astype(np.uint8))
