"""How scans are prepared for the MASS network."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class MassPreprocessing(BaseModel):
    """Orientation RAS, one spacing, clipped grey values, cut to the body; kept in `ModelCard.preprocessing`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    spacing_mm: float = Field(1.5, gt=0, description="Edge of a voxel, mm, the same along all axes.")
    ct_clip: tuple[float, float] = Field((-991.0, 500.0), description="CT is clipped to this range, HU.")
    percentiles: tuple[float, float] = Field((2.0, 98.0), description="Anything else, to these percentiles.")
    normalise: Literal["body", "crop"] = Field(
        "body",
        description='z-score over the scan cut to its body; "crop": over each reference crop, as the released code.',
    )
