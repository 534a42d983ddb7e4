"""From probabilities on the network's voxels to a label map on the scan's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from MaskWhatMattersLib.evaluation.components import largest_component
from MaskWhatMattersLib.mass.example import TaskLabel
from MaskWhatMattersLib.mass.settings import SegmentSettings
from MaskWhatMattersLib.progress import Progress
from MaskWhatMattersLib.volumes import Volume, to_source


def label_map_of(
    probabilities: Volume, source: Volume, labels: Sequence[TaskLabel], settings: SegmentSettings, progress: Progress
) -> tuple[Volume, Volume | None]:
    """The most probable label of each voxel of the scan, among those that reach the threshold.

    Probabilities are interpolated linearly to the scan's voxels, one label after the other, before labels are compared:
    edges stay smooth. (MASS brings the label map back by the nearest voxel.)

    Args:
        probabilities: [K, D, H, W] on the prepared grid.
        source: The scan.
        labels: The K labels.
        settings: Threshold, largest pieces, and whether the probabilities are wanted.
        progress: Gets one step per label.

    Returns:
        Label map, uint8 or uint16 [1, D, H, W], and the probabilities, float32 [K, D, H, W] or None; both on the
        scan's voxels.
    """
    dtype = np.uint8 if max(label.value for label in labels) < 256 else np.uint16
    label_map = np.zeros(source.spatial_shape, dtype)
    best = np.zeros(source.spatial_shape, np.float32)
    kept: list[NDArray[np.float32]] = []
    for label, values in zip(labels, probabilities.array, strict=True):
        progress.step(0)
        probability = to_source(replace(probabilities, array=values[None].astype(np.float32)), source)
        is_better = (probability >= settings.threshold) & (probability > best)
        label_map[is_better] = label.value
        best[is_better] = probability[is_better]
        if settings.keep_probabilities:
            kept.append(probability)
        progress.step()
    _keep_largest(label_map, labels, settings.keep_largest)
    return source.with_array(label_map[None]), source.with_array(np.stack(kept)) if kept else None


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
