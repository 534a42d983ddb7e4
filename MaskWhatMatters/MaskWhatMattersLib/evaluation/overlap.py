"""Overlap of two masks: Dice and Jaccard.

MONAI has both for one-hot float tensors; here masks are boolean arrays and only counts are needed. The tests compare.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from MaskWhatMattersLib.errors import GeometryError

Mask = NDArray[np.bool_]


def dice(prediction: NDArray[Any], truth: NDArray[Any]) -> float:
    """Twice the common voxels per voxel of either mask, 2 |P and T| / (|P| + |T|), 0 to 1.

    Args:
        prediction: Not zero is inside; any number of dimensions.
        truth: The same shape.

    Returns:
        0 where one mask is empty, NaN where both are: there was nothing to find, and nothing was claimed.

    Raises:
        GeometryError: The shapes differ.
    """
    prediction, truth = as_masks(prediction, truth)
    voxels = np.count_nonzero(prediction) + np.count_nonzero(truth)
    return float(2 * np.count_nonzero(prediction & truth) / voxels) if voxels else float("nan")


def jaccard(prediction: NDArray[Any], truth: NDArray[Any]) -> float:
    """Common voxels per voxel of the union, |P and T| / |P or T|, 0 to 1; empty masks as in `dice`.

    Raises:
        GeometryError: The shapes differ.
    """
    prediction, truth = as_masks(prediction, truth)
    voxels = np.count_nonzero(prediction | truth)
    return float(np.count_nonzero(prediction & truth) / voxels) if voxels else float("nan")


def as_masks(prediction: NDArray[Any], truth: NDArray[Any]) -> tuple[Mask, Mask]:
    """Both as boolean arrays of one shape.

    Raises:
        GeometryError: The shapes differ.
    """
    if prediction.shape != truth.shape:
        raise GeometryError(
            f"Prediction and truth must have the same shape; found {prediction.shape} and {truth.shape}. "
            "Resample the prediction to the grid of the truth with nearest neighbour first."
        )
    return prediction.astype(bool, copy=False), truth.astype(bool, copy=False)
