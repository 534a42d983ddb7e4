"""From marked scans to tokens: which part of a scan each label is encoded from, and what the network makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from MaskWhatMattersLib.mass.passes import MassPasses
from MaskWhatMattersLib.progress import Progress

Box = tuple[slice, slice, slice]
"""Voxels along D, H and W; may leave the scan, where zeros are."""

_MARGIN = 8
"""Labels share a crop if it leaves this part of a window (an eighth) around them."""


@dataclass(frozen=True)
class CropPlan:
    """A part of a scan, and the masks that are encoded from it."""

    box: Box
    masks: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class EncodedCrop:
    """A part of a scan as the network saw it.

    Attributes:
        image: float32 [D, H, W], z-scored, 0 beyond the scan.
        masks: uint8 [len(places), D, H, W].
        places: Which of the given masks these are.
    """

    image: NDArray[np.float32]
    masks: NDArray[np.uint8]
    places: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Encoded:
    """What the network remembers of the masks of one scan.

    Attributes:
        tokens: float32 [K, T, C] per scale, deepest first; 0 for an empty mask.
        present: Which masks are not empty, [K].
        crops: What they were encoded from.
        cut: Masks that are larger than the window, by place: part of them was not seen.
    """

    tokens: tuple[Tensor, ...]
    present: NDArray[np.bool_]
    crops: tuple[EncodedCrop, ...]
    cut: tuple[int, ...]


class MarkEncoder:
    """Encodes the masks of prepared scans.

    Each mask is encoded from a crop of the size of the window, as in the inference of MASS; there, every mask has a
    crop around its own middle. Here, masks that fit into one window share the crop around the middle of all of them,
    so that the image is encoded once. Crops do not leave the scan where it is larger than a window. A mask that is
    larger than a window is seen in its middle, or where most of it is if the middle is nearly empty (both kidneys).

    Args:
        passes: Of the network.
        normalise: z-score every crop by itself ("crop" of `MassPreprocessing`, as the released code does).
    """

    def __init__(self, passes: MassPasses, *, normalise: bool = False) -> None:
        self._passes = passes
        self._normalise = normalise

    def encode(self, image: NDArray[np.float32], masks: NDArray[np.uint8], progress: Progress) -> Encoded:
        """Tokens of the masks of one scan.

        Args:
            image: Prepared, [D, H, W].
            masks: 0 and 1 on its voxels, [K, D, H, W].
            progress: Asked before each crop whether to stop.
        """
        boxes = [box_of(mask) for mask in masks]
        window = self._passes.window
        seen = [box and part_to_see(mask, box, window) for mask, box in zip(masks, boxes, strict=True)]
        crops, parts = [], []
        for plan in plan_crops(seen, image.shape, window):
            progress.step(0)
            grey = cut_out(image, plan.box)
            if self._normalise:
                grey = _within_scan(grey, plan.box, image.shape)
            marked = np.stack([cut_out(masks[place], plan.box) for place in plan.masks])
            crops.append(EncodedCrop(grey, marked, plan.masks))
            parts.append(self._passes.tokens(grey, marked))
        cut = [place for place, box in enumerate(boxes) if box is not None and _longest(box) > window]
        return Encoded(
            _gathered(parts, crops, self._passes.no_tokens(len(masks))),
            np.array([box is not None for box in boxes], np.bool_),
            tuple(crops),
            tuple(cut),
        )


def box_of(mask: NDArray[Any]) -> Box | None:
    """The smallest box around a mask; None for an empty one."""
    boxes = ndimage.find_objects((mask != 0).astype(np.uint8))
    found: Box | None = boxes[0] if boxes else None
    return found


def part_to_see(mask: NDArray[Any], box: Box, window: int) -> Box:
    """The box of a mask, cut to a window along each axis where it is longer: to its middle if that holds half as many
    voxels of the mask as any other part or more, else to the part that holds the most.

    Args:
        mask: 0 and anything else, [D, H, W].
        box: Of the mask.
        window: Side, voxels.
    """
    if _longest(box) <= window:
        return box
    held = (mask[box] != 0).astype(np.int64)  # voxels of the mask in the part that starts there
    for axis in range(held.ndim):
        sums = np.insert(held.cumsum(axis), 0, 0, axis)
        span = min(window, held.shape[axis])
        held = np.take(sums, range(span, sums.shape[axis]), axis) - np.take(sums, range(sums.shape[axis] - span), axis)
    start = tuple((length - 1) // 2 for length in held.shape)
    if 2 * held[start] < held.max():
        start = np.unravel_index(held.argmax(), held.shape)
    firsts = [side.start + int(first) for side, first in zip(box, start, strict=True)]
    sides = [slice(first, min(first + window, side.stop)) for side, first in zip(box, firsts, strict=True)]
    return sides[0], sides[1], sides[2]


def plan_crops(boxes: Sequence[Box | None], shape: Sequence[int], window: int) -> list[CropPlan]:
    """Which crops masks are encoded from, each of `window` voxels along every axis.

    The largest mask comes first; others join the first crop that has room for them.

    Args:
        boxes: Of each mask; None for an empty one, which is in no crop.
        shape: D, H, W of the scan.
        window: Side of a crop, voxels.
    """
    known = [(place, box) for place, box in enumerate(boxes) if box is not None]
    known.sort(key=lambda each: -_longest(each[1]))
    groups: list[tuple[Box, list[int]]] = []
    for place, box in known:
        for index, (around, members) in enumerate(groups):
            both = _union(around, box)
            if _longest(both) <= window - window // _MARGIN:
                groups[index] = (both, [*members, place])
                break
        else:
            groups.append((box, [place]))
    return [CropPlan(_centred(box, shape, window), tuple(sorted(members))) for box, members in groups]


def cut_out(array: NDArray[Any], box: Box) -> NDArray[Any]:
    """A box of an array [D, H, W], with zeros where it leaves the array."""
    inside = tuple(
        slice(max(0, side.start), min(length, side.stop)) for side, length in zip(box, array.shape, strict=True)
    )
    widths = [(part.start - side.start, side.stop - part.stop) for side, part in zip(box, inside, strict=True)]
    return np.pad(array[inside], widths)


def _centred(box: Box, shape: Sequence[int], window: int) -> Box:
    """A window around the middle of a box, moved into the scan; in the middle of a scan that is smaller."""
    sides = []
    for side, length in zip(box, shape, strict=True):
        start = (side.start + side.stop - window) // 2
        start = -((window - length) // 2) if length < window else min(max(start, 0), length - window)
        sides.append(slice(start, start + window))
    return sides[0], sides[1], sides[2]


def _within_scan(crop: NDArray[np.float32], box: Box, shape: Sequence[int]) -> NDArray[np.float32]:
    """A crop z-scored over what of it lies in the scan."""
    inside = tuple(
        slice(max(0, -side.start), min(length, side.stop) - side.start) for side, length in zip(box, shape, strict=True)
    )
    result = crop.copy()
    part = crop[inside]
    result[inside] = (part - part.mean()) / max(float(part.std()), 1e-3)
    return result


def _gathered(
    parts: Sequence[tuple[Tensor, ...]], crops: Sequence[EncodedCrop], gathered: tuple[Tensor, ...]
) -> tuple[Tensor, ...]:
    """Tokens of several crops in the order of the masks; as given for those that are in none."""
    for crop, part in zip(crops, parts, strict=True):
        for tokens, found in zip(gathered, part, strict=True):
            tokens[list(crop.places)] = found
    return gathered


def _union(one: Box, other: Box) -> Box:
    sides = [slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(one, other, strict=True)]
    return sides[0], sides[1], sides[2]


def _longest(box: Box) -> int:
    return max(int(side.stop - side.start) for side in box)
