"""Average precision of found objects, by boxes and by outlines, as COCO measures it (pycocotools)."""

from __future__ import annotations

import contextlib
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Box = tuple[float, float, float, float]
"""x and y of the upper left corner, width and height, pixels."""

_FILLED = 0.99
_MOSTLY = 0.9


@dataclass(frozen=True, eq=False)
class FoundInstances:
    """Objects that a detector found in one picture.

    Attributes:
        masks: One outline each, bool [N, H, W]; those without a pixel are left out of every measure.
        scores: How sure it is, [N].
    """

    masks: NDArray[np.bool_]
    scores: NDArray[np.float64]


def average_precision(found: Sequence[FoundInstances], truth: Sequence[NDArray[Any]]) -> dict[str, float]:
    """Precision averaged over recall, and over IoU from 0.50 to 0.95 in steps of 0.05, of all pictures together.

    A box is the tightest one around an outline. Where the truth is boxes alone (see `are_boxes`), outlines say
    nothing, and only boxes are measured.

    Args:
        found: One entry per picture.
        truth: Label map of each picture with objects 1..n, [H, W].

    Returns:
        "box_ap" and "box_ap50" (IoU 0.50 alone), "mask_ap" and "mask_ap50"; NaN where no picture has an object.
    """
    kinds = {"box": "bbox"} if are_boxes(truth) else {"box": "bbox", "mask": "segm"}
    true_objects, found_objects = _true_objects(truth), _found_objects(found)
    answer: dict[str, float] = {}
    for name, kind in kinds.items():
        precision = _precision(true_objects, found_objects, [labels.shape for labels in truth], kind)
        answer[f"{name}_ap"] = _mean(precision)
        answer[f"{name}_ap50"] = _mean(precision[:1])
    return answer


def are_boxes(truth: Sequence[NDArray[Any]]) -> bool:
    """Whether objects are drawn as filled boxes, since nobody has drawn outlines.

    Nine of ten must fill their box; one that another covers does not.
    """
    shares = [
        np.count_nonzero(mask) / (box[2] * box[3])
        for labels in truth
        for mask in masks_of(labels)
        for box in [box_of(mask)]
    ]
    return bool(shares and sum(share >= _FILLED for share in shares) >= _MOSTLY * len(shares))


def masks_of(labels: NDArray[Any]) -> NDArray[np.bool_]:
    """Outline of every object of a label map with objects 1..n, [n, H, W]; absent numbers are skipped."""
    values = np.unique(labels)
    values = values[values > 0]
    return np.asarray(labels[None] == values.reshape(-1, 1, 1))


def box_of(mask: NDArray[np.bool_]) -> Box:
    """Tightest box around an outline with at least one pixel."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    top, left = rows[0], columns[0]
    return float(left), float(top), float(columns[-1] - left + 1), float(rows[-1] - top + 1)


def _true_objects(truth: Sequence[NDArray[Any]]) -> list[dict[str, Any]]:
    objects = [
        {"image_id": picture, "iscrowd": 0, "area": float(np.count_nonzero(mask))} | _place(mask)
        for picture, labels in enumerate(truth, start=1)
        for mask in masks_of(labels)
    ]
    return [{"id": number, **each} for number, each in enumerate(objects, start=1)]


def _found_objects(found: Sequence[FoundInstances]) -> list[dict[str, Any]]:
    return [
        {"image_id": picture, "score": float(score)} | _place(mask)
        for picture, instances in enumerate(found, start=1)
        for mask, score in zip(instances.masks, instances.scores, strict=True)
        if mask.any()
    ]


def _place(mask: NDArray[np.bool_]) -> dict[str, Any]:
    from pycocotools import mask as coco

    code = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"category_id": 1, "bbox": list(box_of(mask)), "segmentation": code}


def _precision(
    true_objects: list[dict[str, Any]],
    found_objects: list[dict[str, Any]],
    shapes: Sequence[tuple[int, ...]],
    kind: str,
) -> NDArray[np.float64]:
    """Precision at each IoU and recall, [10, 101]; -1 without any true object."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {
            "images": [
                {"id": number, "height": shape[0], "width": shape[1]} for number, shape in enumerate(shapes, start=1)
            ],
            "annotations": true_objects,
            "categories": [{"id": 1, "name": "object"}],
        }
        truth.createIndex()
        # Without a find, pycocotools cannot load results.
        found = truth.loadRes([dict(each) for each in found_objects]) if found_objects else COCO()
        evaluation = COCOeval(truth, found, kind)
        evaluation.evaluate()
        evaluation.accumulate()
    # IoU, recall, category, size of object, most finds per picture: all sizes, 100 finds
    return np.asarray(evaluation.eval["precision"][:, :, 0, 0, -1])


def _mean(precision: NDArray[np.float64]) -> float:
    return math.nan if (precision < 0).any() else float(precision.mean())
