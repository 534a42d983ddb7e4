"""Some of a task's labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.mass.task import ReferenceCrop, Task


def with_labels(task: Task, chosen: Sequence[str]) -> Task:
    """The task with the chosen labels only. Labels attend to each other, so that each gives a slightly other result.

    Args:
        task: Any task.
        chosen: Values or names.

    Raises:
        InputError: The task has no such label.
    """
    place_of = {str(label.value): place for place, label in enumerate(task.labels)}
    place_of |= {label.name.casefold(): place for place, label in enumerate(task.labels)}
    typed = [text.strip().casefold() for text in chosen]
    unknown = [text for text, key in zip(chosen, typed, strict=True) if key not in place_of]
    if unknown:
        known = ", ".join(f"{label.value} {label.name}" for label in task.labels)
        raise InputError(f"The task has no label {', '.join(unknown)}; it has {known}. Choose by value or name.")
    places = sorted({place_of[key] for key in typed})
    examples: list[int] = np.flatnonzero(task.present[:, places].any(1)).tolist()
    crops = (_with_places(crop, places, examples) for crop in task.crops)
    return replace(
        task,
        labels=tuple(task.labels[place] for place in places),
        tokens=tuple(scale[examples][:, places] for scale in task.tokens),
        present=task.present[examples][:, places],
        crops=tuple(crop for crop in crops if crop.labels),
    )


def _with_places(crop: ReferenceCrop, places: list[int], examples: list[int]) -> ReferenceCrop:
    """A crop with the masks of some labels, which have new places; also of its example, if that is still there."""
    kept = [index for index, place in enumerate(crop.labels) if place in places]
    return replace(
        crop,
        masks=crop.masks[kept],
        labels=tuple(places.index(crop.labels[index]) for index in kept),
        example=examples.index(crop.example) if kept else 0,
    )
