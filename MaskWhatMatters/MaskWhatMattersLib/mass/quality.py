"""How good a result is, without knowing the truth: it has to explain the examples in turn (reverse Dice)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from MaskWhatMattersLib.evaluation import overlap
from MaskWhatMattersLib.mass.encode import MarkEncoder
from MaskWhatMattersLib.mass.passes import MassPasses
from MaskWhatMattersLib.mass.task import ReferenceCrop
from MaskWhatMattersLib.progress import Progress

QualityMethod = Literal["reverse", "self", "none"]

_MOST_EXAMPLES = 3
"""Crops that each label is compared on; more would take longer than the segmentation."""


@dataclass(frozen=True, eq=False)
class Quality:
    """Estimated Dice of each label, [K], NaN where it is not known; and how it was estimated."""

    dice: NDArray[np.float64]
    method: QualityMethod


def estimated_quality(
    encoder: MarkEncoder,
    passes: MassPasses,
    image: NDArray[np.float32],
    found: NDArray[np.uint8],
    references: Sequence[ReferenceCrop],
    threshold: float,
    progress: Progress,
) -> Quality:
    """Make the query with its result an example, and segment the examples by it.

    Where the examples are not at hand, the query's own crops are segmented instead, which says less: it only tells
    whether the network agrees with itself.

    Args:
        encoder: Of marks.
        passes: Of the network.
        image: Prepared query, [D, H, W].
        found: Result on its voxels, 0 and 1, [K, D, H, W].
        references: Crops of the task.
        threshold: From which a voxel has a label.
        progress: Asked before each crop whether to stop.

    Returns:
        0 for a label that was not found. The mean over up to three crops for the others.
    """
    encoded = encoder.encode(image, found, progress)
    dice = np.where(encoded.present, np.nan, 0.0)
    known = np.flatnonzero(encoded.present)
    method: QualityMethod = "reverse" if references else "self"
    if not known.size:
        return Quality(dice, method)
    predict = passes.predictor([scale[torch.from_numpy(known)] for scale in encoded.tokens])
    crops: list[tuple[NDArray[np.floating], NDArray[np.uint8], tuple[int, ...]]] = (
        [(crop.image, crop.masks, crop.labels) for crop in references]
        if references
        else [(crop.image, crop.masks, crop.places) for crop in encoded.crops]
    )
    scores: dict[int, list[float]] = {int(place): [] for place in known}
    for grey, masks, labels in crops:
        wanted = [place for place in labels if place in scores and len(scores[place]) < _MOST_EXAMPLES]
        if not wanted:
            continue
        progress.step(0)
        probability = predict(torch.from_numpy(grey.astype(np.float32)).to(passes.device)[None, None])[0]
        for place in wanted:
            predicted = (probability[int(np.searchsorted(known, place))] >= threshold).cpu().numpy()
            predicted &= grey != 0  # beyond the scan
            scores[place].append(overlap.dice(predicted, masks[labels.index(place)]))
    for place, each in scores.items():
        dice[place] = float(np.mean(each)) if each else np.nan
    return Quality(dice, method)
