"""Volumes as square slices in context, the form in which the builtin network sees them, and the exact way back.

A slice is taken in the plane of acquisition, turned as radiologists look at it (the patient's right on the left),
cropped to the body, and scaled so that the longer side of the body fills the square. Two neighbours about 3 mm below
and above make the context.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from MaskWhatMattersLib.volumes import Volume, orient, percentile_window, require_finite, require_scalar, window

SIDE = 160
"""Pixels along one side of a slice."""
CONTEXT_MM = 3.0
"""Distance of the neighbours that make the context, mm."""
STEP_MM = 2.0
"""Slices closer than this are skipped and filled in by interpolation, mm."""
CT_WINDOW_HU = (-150.0, 350.0)
"""Soft tissue keeps its contrast and bone is still the brightest, HU."""
_PLANES = {"axial": "LPS", "coronal": "LIP", "sagittal": "PIL"}
_AXIS_OF_PLANE = {"S": "axial", "I": "axial", "A": "coronal", "P": "coronal", "L": "sagittal", "R": "sagittal"}


@dataclass(frozen=True, eq=False)
class SliceStack:
    """Slices of one volume, ready for the network.

    Attributes:
        images: [S, SIDE, SIDE] in 0..1; outside of the body box 0.
        context: How many slices away the neighbours lie.
        source: The volume that was sliced.
        orientation: Storage order in which axis k runs across the slices.
        box: First and last-plus-one row and column of the body box in the oriented volume.
        fitted: Height and width that the box has inside the square.
        positions: Index along k, in the oriented volume, of every slice, [S].
    """

    images: Tensor
    context: int
    source: Volume
    orientation: str
    box: tuple[int, int, int, int]
    fitted: tuple[int, int]
    positions: NDArray[np.int64]

    def with_context(self, chosen: Tensor) -> Tensor:
        """Network input for some slices: below, this and above, [B, 3, SIDE, SIDE]."""
        return stack_context(self.images, chosen, self.context)

    def fit(self, oriented: Tensor, nearest: bool = False) -> Tensor:
        """Bring planes of the oriented volume, [S, H, W], into the square, [S, SIDE, SIDE]."""
        top, bottom, left, right = self.box
        planes = oriented[:, None, top:bottom, left:right].float()
        if nearest:
            scaled = functional.interpolate(planes, self.fitted, mode="nearest-exact")
        else:
            scaled = functional.interpolate(planes, self.fitted, mode="bilinear", antialias=True)
        height, width = self.fitted
        above, before = (SIDE - height) // 2, (SIDE - width) // 2
        return functional.pad(scaled, (before, SIDE - width - before, above, SIDE - height - above))[:, 0]

    def to_volume(self, maps: Tensor) -> Volume:
        """Bring a map per slice, [S, SIDE, SIDE], back onto the source's own grid as float32, [1, D, H, W]."""
        oriented_shape = _oriented_shape(self.source, self.orientation)
        depth, _height, _width = oriented_shape
        top, bottom, left, right = self.box
        fitted_height, fitted_width = self.fitted
        above, before = (SIDE - fitted_height) // 2, (SIDE - fitted_width) // 2
        inner = maps[:, None, above : above + fitted_height, before : before + fitted_width].float()
        planes = functional.interpolate(inner, (bottom - top, right - left), mode="bilinear", antialias=False)[:, 0]
        result = np.zeros(oriented_shape, np.float32)
        result[:, top:bottom, left:right] = _fill_between(planes.numpy(), self.positions, depth)
        oriented = orient(self.source, self.orientation)
        return orient(oriented.with_array(result[None]), self.source.orientation)


def slice_volume(volume: Volume, modality: str | None, *, every_slice: bool = False) -> SliceStack:
    """Cut a scalar volume, [1, D, H, W], into slices.

    Args:
        volume: A volume or a picture of one slice.
        modality: "CT" values are HU; anything else is scaled by percentiles of its own.
        every_slice: Keep slices that lie closer than `STEP_MM` (for training).

    Raises:
        InputError: The volume has several channels, NaN or infinite voxels.
    """
    require_finite(require_scalar(volume))
    orientation = slicing_orientation(volume)
    oriented = orient(volume, orientation)
    array = np.asarray(oriented.array[0])
    is_hounsfield = modality == "CT" and volume.has_physical_scale
    normal = window(array, *CT_WINDOW_HU) if is_hounsfield else percentile_window(array)
    box = _body_box(normal) if volume.has_physical_scale else (0, array.shape[1], 0, array.shape[2])
    column_mm, row_mm, slice_mm = oriented.spacing_mm
    top, bottom, left, right = box
    size_mm = ((bottom - top) * row_mm, (right - left) * column_mm)
    fitted = tuple(max(1, round(SIDE * side / max(size_mm))) for side in size_mm)
    step = 1 if every_slice or not volume.has_physical_scale else max(1, int(STEP_MM / slice_mm + 1e-6))
    positions = np.unique(np.append(np.arange(0, array.shape[0], step), array.shape[0] - 1))
    stack = SliceStack(
        images=torch.empty(0),
        context=max(1, round(CONTEXT_MM / (slice_mm * step))),
        source=volume,
        orientation=orientation,
        box=box,
        fitted=(fitted[0], fitted[1]),
        positions=positions,
    )
    images = stack.fit(torch.from_numpy(np.ascontiguousarray(normal[positions]))).clamp(0, 1)
    object.__setattr__(stack, "images", images)
    return stack


def slice_labels(stack: SliceStack, labels: Volume) -> Tensor:
    """Cut a label map on the same grid in the same way, uint8 [S, SIDE, SIDE]."""
    oriented = np.asarray(orient(labels, stack.orientation).array[0])[stack.positions]
    return stack.fit(torch.from_numpy(np.ascontiguousarray(oriented.astype(np.uint8))), nearest=True).to(torch.uint8)


def slicing_orientation(volume: Volume) -> str:
    """Storage order in which k runs across the slices of acquisition; axial where voxels are about as thick as wide."""
    codes, spacing = volume.orientation, volume.spacing_mm
    sizes = volume.spatial_shape[::-1]
    single = [axis for axis in range(3) if sizes[axis] == 1]
    thickest = int(np.argmax(spacing))
    if single:
        axis = single[-1]
    elif spacing[thickest] >= 2 * sorted(spacing)[1]:
        axis = thickest
    else:
        axis = next(index for index in range(3) if codes[index] in "SI")
    return _PLANES[_AXIS_OF_PLANE[codes[axis]]]


def stack_context(images: Tensor, chosen: Tensor, context: int) -> Tensor:
    """Slices with the neighbours below and above as channels; the ends repeat, [B, 3, *S] from [S, *S]."""
    last = len(images) - 1
    return torch.stack([images[(chosen + offset).clamp(0, last)] for offset in (-context, 0, context)], dim=1)


def _body_box(normal: NDArray[np.float32]) -> tuple[int, int, int, int]:
    """Rows and columns that hold anything brighter than air, with a margin of 2 %."""
    bright = normal > 0.06
    spans = []
    for axis, size in ((2, normal.shape[1]), (1, normal.shape[2])):
        # A row counts when more than 1 % of it is bright in some slice: noise in the air is thinner than that.
        share = bright.mean(axis=axis).max(axis=0)
        hits = np.flatnonzero(share > 0.01)
        if len(hits) == 0:
            return (0, normal.shape[1], 0, normal.shape[2])
        margin = max(1, round(0.02 * size))
        spans += [max(0, int(hits[0]) - margin), min(size, int(hits[-1]) + 1 + margin)]
    return (spans[0], spans[1], spans[2], spans[3])


def _fill_between(planes: NDArray[np.float32], positions: NDArray[np.int64], depth: int) -> NDArray[np.float32]:
    """Linear interpolation along k from the slices that were seen to all, [D, H, W]."""
    if len(positions) == depth:
        return planes
    upper = np.clip(np.searchsorted(positions, np.arange(depth)), 1, len(positions) - 1)
    lower = upper - 1
    weight = (np.arange(depth) - positions[lower]) / (positions[upper] - positions[lower])
    weight = weight.astype(np.float32)[:, None, None]
    return np.asarray(planes[lower] * (1 - weight) + planes[upper] * weight)


def _oriented_shape(volume: Volume, orientation: str) -> tuple[int, int, int]:
    return orient(volume, orientation).spatial_shape
