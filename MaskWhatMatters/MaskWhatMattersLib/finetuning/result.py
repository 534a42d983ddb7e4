"""What applying a finetuned model gives: free of torch, since Slicer unpickles it in its own process."""

from __future__ import annotations

from dataclasses import dataclass

from MaskWhatMattersLib.volumes import Volume


@dataclass(frozen=True, eq=False)
class FinetunedSegmentation:
    """What a finetuned segmenter says about one image. Not for clinical use.

    Attributes:
        label_map: Values of the label maps that were learned from, uint8 on the image's own voxels.
        probabilities: Of every class, float32 [K, D, H, W] on the image's own voxels: background, then the labels in
            the order of `names`; None unless asked for.
        names: What the values mean.
        model: Name and version.
        seconds: What it took.
        research_only: Whether the model may be used for research only.
    """

    label_map: Volume
    probabilities: Volume | None
    names: dict[int, str]
    model: str
    seconds: float
    research_only: bool
