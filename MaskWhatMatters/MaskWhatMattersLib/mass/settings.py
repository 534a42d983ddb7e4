"""How a task is applied to a scan."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class SegmentSettings(BaseModel):
    """Settings of in-context segmentation; the defaults are what a clinician gets."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    threshold: float = Field(0.5, gt=0, lt=1, description="Probability from which a voxel may have a label.")
    overlap: float | None = Field(None, ge=0, lt=1, description="Of windows; None: 0.5 on a GPU, 0.25 on a processor.")
    skip_empty: bool = Field(True, description="Look at twice the spacing first; then only where something may be.")
    retrieval: bool | None = Field(
        None, description="Choose the most alike examples per label; None: from four examples on."
    )
    mirrored: bool = Field(False, description="Average over mirror images; needs examples, which are mirrored, too.")
    keep_largest: bool | None = Field(
        None, description="Largest piece of each label; None: of those that are one piece in all examples."
    )
    quality: bool = Field(
        True, description="Estimate the quality, which takes about as long again per label; not after a full tuning."
    )
    keep_probabilities: bool = Field(False, description="Return them on the scan's own voxels.")
    precision: Literal["auto", "fp32", "bf16"] = Field("auto", description="auto: bf16 on a GPU, fp32 otherwise.")
