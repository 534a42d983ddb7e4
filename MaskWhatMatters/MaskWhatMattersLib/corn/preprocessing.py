"""From a scan to what the networks see: RAS, cubic voxels, eight-bit grey; the same in training and prediction."""

from __future__ import annotations

from dataclasses import replace
from typing import Self

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor

from MaskWhatMattersLib.corn.report import ReviewLimits
from MaskWhatMattersLib.datasets.preparation import grey_by_percentiles, resample_smoothed
from MaskWhatMattersLib.errors import GeometryError
from MaskWhatMattersLib.volumes import Volume, orient, require_3d, require_finite, require_scalar

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
    prepared = resample_smoothed(orient(volume, "RAS"), preprocessing.spacing_mm)
    grey = grey_by_percentiles(prepared, preprocessing.low_percentile, preprocessing.high_percentile)
    return replace(prepared, array=grey)


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
    prepared = resample_smoothed(membership, preprocessing.spacing_mm)
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
