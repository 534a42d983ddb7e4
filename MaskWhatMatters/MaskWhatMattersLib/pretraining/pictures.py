"""A reconstruction for the eye: original, masked and reconstructed side by side, as a PNG."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from MaskWhatMattersLib.masking.preview import masked_picture, png_of, side_by_side
from MaskWhatMattersLib.pretraining.batch import Reconstruction

_WANTED = 192
"""Pixels of the longer side of small images; a picture travels with the log."""


def triplet_png(reconstruction: Reconstruction) -> bytes:
    """The first image of a batch; of a volume an axial slice, patient's right at the left, front at the top.

    That slice is the one nearest to the middle in which some tokens are hidden and others are not. Hidden tokens are
    grey squares in the middle picture; elsewhere grey goes from the lowest to the 99.5th percentile of the original.
    """
    hidden = reconstruction.hidden[0].cpu().numpy()
    slab, place = _slice_of(hidden, reconstruction.original.shape[2:])
    original = _plane(reconstruction.original[0, 0], place)
    reconstructed = _plane(reconstruction.reconstructed[0, 0], place)
    low, high = float(original.min()), float(np.percentile(original, 99.5))
    left, right = (_grey(plane, low, high) for plane in (original, reconstructed))
    covered = _upright(hidden if slab is None else hidden[slab], is_slice=slab is not None)
    panels = [
        masked_picture(left, wanted=_WANTED),
        masked_picture(left, covered, wanted=_WANTED),
        masked_picture(right, wanted=_WANTED),
    ]
    return png_of(side_by_side(side_by_side(panels[0], panels[1]), panels[2]))


def _slice_of(hidden: NDArray[np.bool_], spatial: tuple[int, ...]) -> tuple[int | None, int | None]:
    """Place of the slice to show in the grid of tokens and in voxels; None for pictures."""
    if hidden.ndim == 2:
        return None, None
    depth = spatial[0] // hidden.shape[0]
    flat = hidden.reshape(hidden.shape[0], -1)
    mixed = np.flatnonzero(flat.any(1) & ~flat.all(1))
    middle = spatial[0] // 2
    if len(mixed) == 0:
        return middle // depth, middle
    nearest = np.clip(middle, mixed * depth, mixed * depth + depth - 1)  # voxel of each slab of tokens
    best = int(np.argmin(np.abs(nearest - middle)))
    return int(mixed[best]), int(nearest[best])


def _plane(image: Tensor, place: int | None) -> NDArray[np.float32]:
    array: NDArray[np.float32] = image.detach().float().cpu().numpy()
    return array if place is None else _upright(array[place], is_slice=True)


def _upright(plane: NDArray[Any], *, is_slice: bool) -> NDArray[Any]:
    """Prepared volumes run to the front and the patient's right; pictures run down and to the viewer's right."""
    return plane[::-1, ::-1] if is_slice else plane


def _grey(plane: NDArray[np.float32], low: float, high: float) -> NDArray[np.uint8]:
    grey: NDArray[np.uint8] = np.clip((plane - low) / max(high - low, 1e-6) * 255, 0, 255).astype(np.uint8)
    return grey
