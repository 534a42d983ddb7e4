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


@dataclass(frozen=True)
class DetectedObject:
    """One object in one slice.

    Attributes:
        label: Its value in the label map.
        score: How sure the model is, 0 to 1.
        slice_index: Number of the slice in the order that the model saw, 0 for a picture.
        box: x and y of the upper left corner, width and height, in pixels of the prepared slice.
    """

    label: int
    score: float
    slice_index: int
    box: tuple[float, float, float, float]


@dataclass(frozen=True, eq=False)
class FinetunedDetection:
    """What a finetuned detector says about one image. Not for clinical use.

    Attributes:
        label_map: Objects 1..n, uint16 on the image's own voxels; where outlines meet, the surer one is on top.
        objects: From the surest to the least sure in each slice, as in the label map.
        name: What an object is.
        model: Name and version.
        seconds: What it took.
        research_only: Whether the model may be used for research only.
    """

    label_map: Volume
    objects: tuple[DetectedObject, ...]
    name: str
    model: str
    seconds: float
    research_only: bool
