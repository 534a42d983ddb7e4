"""What a pretraining or finetuning hands back; apart from the training, so that Slicer reads it without torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class RunResult:
    """What a training left.

    Attributes:
        path: The model file; its card lies beside it.
        name: Of the model.
        steps: Optimizer steps done, over all sessions.
        metrics: Last values by name, such as loss, dice, accuracy; those of validation where there is one.
        notes: What the person should know, one sentence each, such as images without a region.
        files: Content by file name of model and card, where they were to be sent back.
    """

    path: Path
    name: str
    steps: int
    metrics: dict[str, float]
    notes: tuple[str, ...] = ()
    files: dict[str, bytes] = field(default_factory=dict)
