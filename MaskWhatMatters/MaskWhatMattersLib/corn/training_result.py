"""What a training hands back; apart from the training itself, so that Slicer reads it without loading torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class TrainedModel:
    """What a training left.

    Attributes:
        path: The model file; its card lies beside it.
        name: Of the model.
        steps: Optimizer steps done, over all sessions.
        validation_dice: Last mean Dice over the validation scans, 0 to 1; None without such scans.
        validation_cases: Number of those scans.
    """

    path: Path
    name: str
    steps: int
    validation_dice: float | None
    validation_cases: int
