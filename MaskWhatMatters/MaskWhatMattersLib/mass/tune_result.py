"""What tuning a task gives: free of torch, since Slicer unpickles it in its own process."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from MaskWhatMattersLib.mass.example import TaskLabel
from MaskWhatMattersLib.mass.task import Task


@dataclass(frozen=True)
class TunedLabel:
    """Dice of one label on the held-out cases, 0 to 1; NaN where none has the label, or it was not measured.

    Attributes:
        label: Which.
        in_context: Before tuning: tokens averaged over the cases that were learned from.
        tuned: After it.
        baseline: A plain U-Net, trained on the same cases for as long.
    """

    label: TaskLabel
    in_context: float
    tuned: float
    baseline: float


@dataclass(frozen=True, eq=False)
class TunedTask:
    """A task that was tuned. Not for clinical use.

    Attributes:
        path: The task file.
        name: Of the run.
        steps: Optimizer steps done, over all sessions.
        task: Content of the task file; `tuned` says what learned.
        model_path: The model that belongs to the task, where more than tokens learned; its card lies beside it.
        labels: One per label of the task, in its order.
        held_out: Which cases only measured, by index; empty with fewer than three.
        metrics: Last values by name: loss, dice, in_context_dice, baseline_dice.
        notes: What the person should know, in sentences.
        files: Content by file name of task, model and card, where they were to be sent back.
    """

    path: Path
    name: str
    steps: int
    task: Task
    model_path: Path | None
    labels: tuple[TunedLabel, ...]
    held_out: tuple[int, ...]
    metrics: dict[str, float]
    notes: tuple[str, ...] = ()
    files: dict[str, bytes] = field(default_factory=dict)
