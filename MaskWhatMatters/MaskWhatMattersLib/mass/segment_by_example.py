"""Segment a scan as examples show it, in one call."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from MaskWhatMattersLib.mass.example import Example
from MaskWhatMattersLib.mass.result import InContextSegmentation
from MaskWhatMattersLib.mass.segment import InContextSegmenter
from MaskWhatMattersLib.mass.settings import SegmentSettings
from MaskWhatMattersLib.volumes import Volume


def segment_by_example(
    volume: Volume,
    examples: Example | Sequence[Example],
    model: str | Path | None = None,
    device: str = "auto",
    settings: SegmentSettings | None = None,
) -> InContextSegmentation:
    """Segment one scan as examples show it; see `InContextSegmenter`, which keeps the model for further scans.

    Args:
        volume: Scalar scan, any orientation and spacing.
        examples: Scans and what is marked on them; `example_from_label_map` makes one.
        model: Name or .safetensors file; the default one when None.
        device: "auto", "cpu", "cuda", "cuda:1".
        settings: How the task is applied.

    Raises:
        InputError: The scan, the examples, the model or the device cannot be used; the message says why.
    """
    segmenter = InContextSegmenter.load(model, device)
    task = segmenter.encode([examples] if isinstance(examples, Example) else examples)
    return segmenter.segment(volume, task, settings or SegmentSettings())
