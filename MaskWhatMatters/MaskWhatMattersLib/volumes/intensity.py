"""Intensity windows: CT in Hounsfield units, MR by percentiles."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from MaskWhatMattersLib.errors import InputError

CT_WINDOWS: dict[str, tuple[float, float]] = {
    "soft_tissue": (-160.0, 240.0),
    "abdomen": (-150.0, 250.0),
    "liver": (-45.0, 105.0),
    "mediastinum": (-125.0, 225.0),
    "lung": (-1350.0, 150.0),
    "bone": (-500.0, 1300.0),
    "brain": (0.0, 80.0),
    "head_and_neck": (-150.0, 350.0),
    "whole_range": (-1024.0, 1024.0),
}
"""Usual reading windows as (low, high), HU."""

_PERCENTILE_SAMPLES = 4_000_000


def window(array: NDArray[Any], low: float, high: float) -> NDArray[np.float32]:
    """Map low..high to 0..1 and clip; any shape, float32.

    Raises:
        InputError: Low is not below high.
    """
    if not low < high:
        raise InputError(f"A window's low value must be below its high value; found {low} and {high}. Exchange them.")
    scaled = np.subtract(array, low, dtype=np.float32)
    scaled /= high - low
    return np.asarray(np.clip(scaled, 0.0, 1.0, out=scaled))


def percentile_window(array: NDArray[Any], lower: float = 0.5, upper: float = 99.5) -> NDArray[np.float32]:
    """Map the range between two percentiles to 0..1 and clip; any shape, float32. See `percentile_range`."""
    return window(array, *percentile_range(array, lower, upper))


def percentile_range(array: NDArray[Any], lower: float = 0.5, upper: float = 99.5) -> tuple[float, float]:
    """The values (low, high) at two percentiles.

    Of an array with more than four million values, an evenly spread part is looked at. In an image of one value, high
    is low + 1, so that a window maps it to 0.

    Raises:
        InputError: Percentiles out of order, or no finite value.
    """
    if not 0 <= lower < upper <= 100:
        raise InputError(f"Percentiles must satisfy 0 <= lower < upper <= 100; found {lower}, {upper}. Use 0.5, 99.5.")
    # An odd step does not fall into step with the rows of the image, whose lengths are mostly even.
    values = array.reshape(-1)[:: (array.size // _PERCENTILE_SAMPLES) | 1]
    values = values[np.isfinite(values)]
    if values.size == 0:
        raise InputError("A window needs a finite voxel; found none. Check the image, or replace its NaN voxels.")
    low, high = (float(value) for value in np.percentile(values, (lower, upper)))
    return (low, high) if low < high else (low, low + 1.0)
