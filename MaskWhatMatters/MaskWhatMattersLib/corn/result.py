"""What segmenting a scan gives: free of torch, since Slicer unpickles it in its own process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from MaskWhatMattersLib.volumes import Volume


@dataclass(frozen=True, eq=False)
class AtriumSegmentation:
    """The left atrium of one scan. Not for clinical use.

    Attributes:
        label_map: 1 in the left atrium, uint8 on the scan's own voxels.
        disagreement: |main - auxiliary| of the two branches' probabilities within 5 mm of what either calls left
            atrium, 0 elsewhere, float32 on the scan's own voxels.
        probability: Of the left atrium, float32 on the scan's own voxels; None unless asked for.
        volume_ml: Of the label map.
        agreement: Dice of the two branches' own results, 0 to 1; NaN where nothing was found.
        boundary_entropy: Mean binary entropy on the border, 0 to 1 (share of ln 2); NaN where nothing was found.
        review: Whether a person should look again.
        review_reasons: Why, in words.
        seconds: What it took.
        model: Name and version.
        field_of_view: "crop": the whole scan was segmented; "full": the atrium was looked for first.
        research_only: Whether the model may be used for research only.
    """

    label_map: Volume
    disagreement: Volume
    probability: Volume | None
    volume_ml: float
    agreement: float
    boundary_entropy: float
    review: bool
    review_reasons: tuple[str, ...]
    seconds: float
    model: str
    field_of_view: Literal["crop", "full"]
    research_only: bool
