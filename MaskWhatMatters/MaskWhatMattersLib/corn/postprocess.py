"""One left atrium without holes, and the mean of what a network says about mirror images."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from MaskWhatMattersLib.corn.sliding import Predictor
from MaskWhatMattersLib.evaluation import components

_MIRRORS: tuple[tuple[int, ...], ...] = ((), (-1,), (-2,), (-1, -2))
"""Axes to flip. Left-right and front-back only: training mirrors a scan in these two, and never upside down."""


def largest_component(mask: NDArray[Any]) -> NDArray[np.bool_]:
    """The largest piece of connected voxels, [D, H, W]; looked for inside the bounding box, which is far quicker."""
    box = bounding_box(mask)
    result = np.zeros(mask.shape, dtype=np.bool_)
    if box is not None:
        result[box] = components.largest_component(mask[box])
    return result


def fill_holes(mask: NDArray[Any]) -> NDArray[np.bool_]:
    """The mask with everything that it encloses on all sides, [D, H, W]."""
    box = bounding_box(mask)
    result = np.zeros(mask.shape, dtype=np.bool_)
    if box is not None:
        result[box] = ndimage.binary_fill_holes(mask[box])
    return result


def clean(mask: NDArray[Any]) -> NDArray[np.bool_]:
    """Largest piece, holes filled; nothing where there is nothing."""
    return fill_holes(largest_component(mask))


def bounding_box(mask: NDArray[Any]) -> tuple[slice, slice, slice] | None:
    """The smallest box that holds the mask, as slices of [D, H, W]; None for an empty mask."""
    if not mask.any():
        return None
    boxes: list[tuple[slice, slice, slice]] = ndimage.find_objects(mask.astype(np.uint8, copy=False))
    return boxes[0]


def averaged_over_mirrors(predict: Predictor) -> Predictor:
    """A predictor that averages over the scan and its mirror images."""

    def averaged(images: Tensor) -> Tensor:
        answers = [predict(images.flip(axes)).flip(axes) if axes else predict(images) for axes in _MIRRORS]
        return torch.stack(answers).mean(0)

    return averaged
