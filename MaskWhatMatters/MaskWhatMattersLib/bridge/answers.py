"""One answer in the scene: its overlay, its segmentation and its line in the result table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from MaskWhatMattersLib.bridge import ownership
from MaskWhatMattersLib.bridge.appearance import appearance_of
from MaskWhatMattersLib.bridge.nodes import voxel_volume_ml
from MaskWhatMattersLib.bridge.overlays import put_relevance, relevance_array
from MaskWhatMattersLib.bridge.segmentations import is_as_we_left_it, put_mask
from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.relevance.relevance_map import RelevanceMap

Row = dict[str, Any]
"""One line of the result table, plain values only: it is saved with the scene."""


def clean_prompts(prompts: str | Sequence[str]) -> list[str]:
    """Prompts without surrounding space, empty lines and repetitions; a text has one prompt per line.

    Raises:
        InputError: Nothing is left.
    """
    lines = prompts.splitlines() if isinstance(prompts, str) else list(prompts)
    cleaned = list(dict.fromkeys(stripped for line in lines if (stripped := line.strip())))
    if not cleaned:
        raise InputError('There is no prompt; found only empty text. Type what to look for, for example "left lung".')
    return cleaned


def show_answer(
    volume_node: Any, relevance: RelevanceMap, *, threshold: float | None, index: int
) -> tuple[Row, list[Any]]:
    """Make or update the nodes of one answer; an answer without a finding makes none and takes back our old ones.

    Args:
        volume_node: The volume that was asked about.
        relevance: The answer.
        threshold: The user's; None takes the one that the localizer suggests.
        index: Number of the prompt, for a colour where the concept has none.

    Returns:
        The table row and the nodes.
    """
    look = appearance_of(relevance.concept, index)
    row: Row = {
        "prompt": relevance.prompt,
        "verdict": relevance.verdict,
        "score": round(float(relevance.score), 4),
        "message": relevance.message,
        "localizer": relevance.localizer,
        "model": relevance.model_version,
        "threshold": float(relevance.threshold if threshold is None else threshold),
        "color": list(look.color),
        "terminology": look.terminology,
        "concept": relevance.concept,
        "seconds": round(float(relevance.seconds), 2),
        "volume_ml": None,
        "has_scale": bool(relevance.volume.has_physical_scale),
        "visible": True,
    }
    if relevance.verdict != "found":
        _take_back(volume_node, relevance.prompt)
        return row, []
    overlay = put_relevance(volume_node, relevance)
    segmentation = apply_threshold(volume_node, row, row["threshold"])
    return row, [overlay, segmentation]


def apply_threshold(volume_node: Any, row: Row, threshold: float) -> Any:
    """Cut the relevance overlay of a row at another threshold; no new run.

    Returns:
        The segmentation node, or None when there is no overlay (any more).
    """
    overlay = ownership.find_ours(volume_node, "relevance", row["prompt"])
    if overlay is None:
        return None
    mask = relevance_array(overlay) >= max(threshold, 1e-6)
    facts = {"prompt": row["prompt"], "Localizer": row["localizer"], "Model": row["model"], "Concept": row["concept"]}
    segmentation = put_mask(volume_node, mask, facts, tuple(row["color"]), row["terminology"])
    row["threshold"] = float(threshold)
    if row.get("has_scale", True):
        row["volume_ml"] = round(float(np.count_nonzero(mask)) * voxel_volume_ml(volume_node), 4)
    return segmentation


def _take_back(volume_node: Any, prompt: str) -> None:
    """Remove what an earlier run showed for a prompt that now finds nothing, so that no stale mask stays."""
    overlay = ownership.find_ours(volume_node, "relevance", prompt)
    segmentation = ownership.find_ours(volume_node, "mask", prompt)
    if overlay is not None:
        ownership.remove(overlay)
    if segmentation is not None:
        if is_as_we_left_it(segmentation):
            ownership.remove(segmentation)
        else:
            ownership.release(segmentation)
