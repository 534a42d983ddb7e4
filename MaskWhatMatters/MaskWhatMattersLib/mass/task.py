"""A task: what the network remembers of examples, and what is to be called how. Free of torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from MaskWhatMattersLib.mass.example import TaskLabel


@dataclass(frozen=True, eq=False)
class ReferenceCrop:
    """A part of an example that labels were encoded from, as the network saw it; left out of task files.

    Attributes:
        image: z-scored, float16 [D, H, W], at the task's spacing, RAS.
        masks: Of the labels that were encoded from this part, uint8 [len(labels), D, H, W].
        labels: Their places among the task's labels.
        example: Place of the example among the task's examples.
    """

    image: NDArray[np.float16]
    masks: NDArray[np.uint8]
    labels: tuple[int, ...]
    example: int


@dataclass(frozen=True, eq=False)
class Task:
    """Tokens of K labels from R examples (Iris, arXiv 2503.19359, section 3; MASS inference).

    Attributes:
        labels: The K labels, by value.
        tokens: Deepest scale first, float32 [R, K, T, C] each.
        present: Whether an example has a label, bool [R, K]; tokens are 0 where not.
        spacing_mm: Of the voxels that the tokens were made from.
        modality: Of the examples, as `Volume.modality`; None where unknown or mixed.
        model: Name and version of the model whose tokens these are.
        model_sha256: Of its weights; tokens of one model mean nothing to another.
        model_file: Where it was read, for the next step on the same computer; not kept in task files.
        tuned: "tokens", "head" or "full" where they were trained.
        crops: One or more per example (labels that lie far apart are encoded apart); empty where the examples are not
            at hand.
        notes: What the user should know of the examples, in sentences.
        research_only: Whether the model may be used for research only.
    """

    labels: tuple[TaskLabel, ...]
    tokens: tuple[NDArray[np.float32], ...]
    present: NDArray[np.bool_]
    spacing_mm: float
    modality: str | None
    model: str
    model_sha256: str
    model_file: str = ""
    tuned: str = ""
    crops: tuple[ReferenceCrop, ...] = ()
    notes: tuple[str, ...] = ()
    research_only: bool = False
