"""From probabilities on the network's voxels to a label map on the scan's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from MaskWhatMattersLib.evaluation.components import largest_component
from MaskWhatMattersLib.mass.encode import Box, box_of
from MaskWhatMattersLib.mass.example import TaskLabel
from MaskWhatMattersLib.mass.settings import SegmentSettings
from MaskWhatMattersLib.progress import Progress
from MaskWhatMattersLib.volumes import Volume, crop, crop_around, to_ijk, to_source


def label_map_of(
    probabilities: Volume, source: Volume, labels: Sequence[TaskLabel], settings: SegmentSettings, progress: Progress
) -> Volume:
    """The most probable label of each voxel of the scan, among those that reach the threshold.

    Probabilities are interpolated linearly to the scan's voxels, one label after the other, before labels are compared:
    edges stay smooth. (MASS brings the label map back by the nearest voxel.)

    Args:
        probabilities: [K, D, H, W] on the prepared grid.
        source: The scan.
        labels: The K labels.
        settings: Threshold and largest pieces.
        progress: Gets one step per label.

    Returns:
        uint8 or, for values above 255, uint16 [1, D, H, W] on the scan's voxels.
    """
    dtype = np.uint8 if max(label.value for label in labels) < 256 else np.uint16
    label_map = np.zeros(source.spatial_shape, dtype)
    best = np.zeros(source.spatial_shape, np.float32)
    for label, values in zip(labels, probabilities.array, strict=True):
        progress.step()
        box = box_of(values >= settings.threshold)
        if box is None:
            continue
        there, probability = _on_part(probabilities.with_array(values[None]), source, box)
        is_better = (probability >= settings.threshold) & (probability > best[there])
        label_map[there][is_better] = label.value
        best[there][is_better] = probability[is_better]
    _keep_largest(label_map, labels, settings.keep_largest)
    return source.with_array(label_map[None])


def masks_found(probabilities: Tensor, labels: Sequence[TaskLabel], settings: SegmentSettings) -> NDArray[np.uint8]:
    """What the label map shows, still on the prepared voxels: 0 and 1, [K, D, H, W].

    Args:
        probabilities: On the prepared grid, [K, D, H, W].
        labels: The K labels.
        settings: Threshold and largest pieces.
    """
    best, place = probabilities.max(dim=0)
    values = torch.tensor([label.value for label in labels], dtype=torch.int32, device=place.device)
    label_map = torch.where(best >= settings.threshold, values[place], 0).cpu().numpy()
    _keep_largest(label_map, labels, settings.keep_largest)
    masks = np.zeros(probabilities.shape, np.uint8)
    for mask, label in zip(masks, labels, strict=True):
        mask[...] = label_map == label.value
    return masks


def probabilities_of(probabilities: Volume, source: Volume) -> Volume:
    """Probabilities [K, D, H, W] on the scan's own voxels, float32."""
    result = np.empty((probabilities.channels, *source.spatial_shape), np.float32)
    for place, values in enumerate(probabilities.array):
        result[place] = to_source(probabilities.with_array(values[None].astype(np.float32)), source)
    return source.with_array(result)


def _on_part(values: Volume, source: Volume, box: Box) -> tuple[Box, NDArray[np.float32]]:
    """Values around a box on the part of the scan where it lies, and which part that is.

    Where values are linear between voxels, none beyond the voxel next to the box reaches what only the box reaches.
    """
    wider = tuple(
        slice(max(0, side.start - 1), min(length, side.stop + 1))
        for side, length in zip(box, values.spatial_shape, strict=True)
    )
    near = crop(values, [side.start for side in reversed(wider)], [side.stop for side in reversed(wider)])
    part = crop_around(source, (wider[0], wider[1], wider[2]), values)
    start = np.rint(to_ijk(part.origin_ras, source.affine)).astype(int)[::-1]
    sides = [slice(first, first + length) for first, length in zip(start.tolist(), part.spatial_shape, strict=True)]
    return (sides[0], sides[1], sides[2]), to_source(replace(near, array=near.array.astype(np.float32)), part)


def _keep_largest(label_map: NDArray[np.integer], labels: Sequence[TaskLabel], wanted: bool | None) -> None:
    """Drop all but the largest piece of labels that are one piece."""
    boxes = ndimage.find_objects(label_map)
    for label in labels:
        box = boxes[label.value - 1] if label.value <= len(boxes) else None
        if box is None or not (wanted if wanted is not None else not label.several_parts):
            continue
        part = label_map[box]
        mask = part == label.value
        part[mask & ~largest_component(mask)] = 0
