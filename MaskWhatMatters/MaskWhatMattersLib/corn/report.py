"""What a clinician reads beside the label map: volume, agreement, doubt at the border, and when to look again."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class ReviewLimits(BaseModel):
    """Beyond these a result asks to be reviewed; a model card may carry its own."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    min_agreement: float = Field(0.85, ge=0, le=1, description="Dice of the two branches.")
    max_boundary_entropy: float = Field(0.8, ge=0, le=1, description="Mean binary entropy on the border, of ln 2.")
    # The 100 scans of the 2018 challenge hold 18.6 to 132.1 mL; very large atria are larger still.
    min_volume_ml: float = Field(15.0, ge=0, description="A smaller atrium is doubted.")
    max_volume_ml: float = Field(250.0, gt=0, description="A larger atrium is doubted.")
