"""What applying a task to a scan gives: free of torch, since Slicer unpickles it in its own process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from MaskWhatMattersLib.mass.example import TaskLabel
from MaskWhatMattersLib.volumes import Volume


@dataclass(frozen=True)
class LabelResult:
    """One label in one scan.

    Attributes:
        label: Which.
        volume_ml: Of the label map.
        quality: Estimated Dice, 0 to 1, without knowing the truth; NaN where it was not estimated.
        largest_probability: In the scan.
        notes: Why a person should look, in sentences; empty where nothing is unusual.
    """

    label: TaskLabel
    volume_ml: float
    quality: float
    largest_probability: float
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class InContextSegmentation:
    """A scan segmented by example. Not for clinical use.

    Attributes:
        label_map: Values of the task's labels, uint8 or uint16 [1, D, H, W] on the scan's own voxels.
        probabilities: float32 [K, D, H, W] on the same voxels; None unless asked for.
        labels: One result per label of the task, in its order.
        quality_method: "reverse": the scan's result segments the examples back; "self": it segments the scan again
            (the examples are not at hand); "none".
        notes: On the scan as a whole, in sentences.
        windows: Windows that cover the scan.
        windows_looked_at: Those that the network really saw.
        seconds: What it took.
        model: Name and version.
        research_only: Whether the model may be used for research only.
    """

    label_map: Volume
    probabilities: Volume | None
    labels: tuple[LabelResult, ...]
    quality_method: Literal["reverse", "self", "none"]
    notes: tuple[str, ...]
    windows: int
    windows_looked_at: int
    seconds: float
    model: str
    research_only: bool
