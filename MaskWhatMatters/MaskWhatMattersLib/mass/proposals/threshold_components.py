"""Connected pieces between two grey values: bones, fat and gas in CT; classes of brightness in anything else."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import SimpleITK
from numpy.typing import NDArray
from scipy import ndimage

sitk: Any = SimpleITK  # it declares hardly any types

_CT_RANGES = ((200.0, np.inf), (-150.0, -30.0), (-np.inf, -300.0))
"""Bone, fat, gas inside the body; HU."""

_THRESHOLDS = 3
_SAMPLES = 500_000


def threshold_components(
    values: NDArray[Any], body: NDArray[np.bool_], is_ct: bool, least_voxels: int
) -> NDArray[np.int32]:
    """Pieces of voxels that share a face, after thin bridges between them were cut.

    Args:
        values: Grey values, [D, H, W].
        body: Where pieces may be, [D, H, W].
        is_ct: Whether values are HU.
        least_voxels: Smaller pieces are left out.

    Returns:
        Labels from 1 on without gaps, 0 where there is none, [D, H, W].
    """
    pieces = np.zeros(values.shape, np.int32)
    found = 0
    for low, high in _CT_RANGES if is_ct else _classes(values[body]):
        inside = ndimage.binary_opening((values >= low) & (values < high) & body)
        labels, count = ndimage.label(inside)
        sizes = np.bincount(labels.reshape(-1), minlength=count + 1)
        sizes[0] = 0
        large = sizes >= least_voxels
        numbers = np.where(large, np.cumsum(large) + found, 0).astype(np.int32)
        pieces += numbers[labels]
        found += int(np.count_nonzero(large))
    return pieces


def _classes(values: NDArray[Any]) -> list[tuple[float, float]]:
    """Ranges between the thresholds that separate classes of brightness best (Otsu 1979)."""
    sample = np.ascontiguousarray(values[:: max(1, len(values) // _SAMPLES)], np.float32)
    if not len(sample) or sample.min() == sample.max():
        return []
    otsu = sitk.OtsuMultipleThresholdsImageFilter()
    otsu.SetNumberOfThresholds(_THRESHOLDS)
    otsu.Execute(sitk.GetImageFromArray(sample[None]))
    edges = [-np.inf, *otsu.GetThresholds(), np.inf]
    return list(pairwise(edges))
