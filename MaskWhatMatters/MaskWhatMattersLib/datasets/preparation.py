"""What every preparation of images shares: another spacing without aliasing, and eight-bit grey."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.volumes import Volume, percentile_range, resample_to_spacing, window


def smoothing_sigma(factor: float) -> float:
    """Standard deviation in source voxels of the Gaussian before an axis gets coarser by a factor.

    A coarse voxel should be the mean of the `factor` voxels that it covers, whose weights have a variance of
    (factor^2 - 1) / 12. Linear interpolation brings 1/4 of that where it falls between two voxels, which is the whole
    of it at a factor of 2; the Gaussian supplies the rest, sigma^2 = (factor^2 - 4) / 12.
    """
    return float(np.sqrt(max(0.0, factor**2 - 4.0) / 12.0))


def resample_smoothed(volume: Volume, spacing_mm: float | Sequence[float]) -> Volume:
    """Linear interpolation to voxels of another size, smoothed first along the axes that get coarser; float32.

    Args:
        volume: Any volume.
        spacing_mm: One number, or three for i, j and k.
    """
    array: NDArray[Any] = volume.array.astype(np.float32, copy=False)
    wanted = np.broadcast_to(np.asarray(spacing_mm, dtype=np.float64), (3,))
    for column, (step, new_step) in enumerate(zip(volume.spacing_mm, wanted.tolist(), strict=True)):
        sigma = smoothing_sigma(new_step / step)
        if sigma > 0:
            array = ndimage.gaussian_filter1d(array, sigma, axis=3 - column, mode="nearest")
    return resample_to_spacing(replace(volume, array=array), wanted.tolist())


def grey_by_percentiles(volume: Volume, low_percentile: float, high_percentile: float) -> NDArray[np.uint8]:
    """The values between two percentiles as 0 to 255, [C, D, H, W].

    Raises:
        InputError: The same value everywhere.
    """
    darkest, brightest = float(volume.array.min()), float(volume.array.max())
    if darkest == brightest:
        raise InputError(
            f'The scan "{volume.name}" is the same everywhere; found the value {darkest:g} in all of its '
            f"{volume.array.size} voxels. Choose an image with contrast."
        )
    low, high = percentile_range(volume.array, low_percentile, high_percentile)
    if high <= darkest or low >= brightest:
        low, high = darkest, brightest  # nearly all voxels have one value, so that the percentiles show no contrast
    return grey_by_window(volume, low, high)


def grey_by_window(volume: Volume, low: float, high: float) -> NDArray[np.uint8]:
    """The values from `low` to `high` as 0 to 255, others clipped, [C, D, H, W]."""
    grey = window(volume.array, low, high)
    grey *= 255.0
    return np.asarray(np.rint(grey, out=grey).astype(np.uint8))
