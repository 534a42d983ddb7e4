"""Settings of mask proposals by SAM 2; apart from it, so that they can be read without torch."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

SAM2_MODEL = "facebook/sam2.1-hiera-small"
"""On the hub, Apache-2.0; "tiny" is faster, "large" is what MASS used."""


class Sam2Config(BaseModel):
    """Settings of MASS (arXiv 2603.13660, preparation of unlabelled scans); looser than those of SAM on purpose."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    plane: Literal["axial", "coronal", "sagittal"] = Field("axial", description="Slices that SAM 2 looks at.")
    seed_every_mm: float = Field(30.0, gt=0, description="Between slices that masks are looked for in.")
    least_seeds: int = Field(10, ge=1, description="Such slices at least, where the scan has as many.")
    points_per_side: int = Field(32, ge=1, description="Of the grid of points that SAM 2 is asked about.")
    points_per_batch: int = Field(128, ge=1, description="Asked about at once.")
    crop_layers: Literal[0, 1] = Field(0, description="1: also four overlapping quarters; five times as long.")
    least_predicted_overlap: float = Field(0.4, ge=0, le=1, description="That SAM 2 expects of its own mask.")
    least_stability: float = Field(0.7, ge=0, le=1, description="Overlap of the masks at logits of 1 and -1.")
    box_overlap: float = Field(0.5, gt=0, le=1, description="Boxes that overlap more are one mask.")
    least_area_mm2: float = Field(100.0, ge=0, description="MASS: 500 in the abdomen, 200 brain, 100 heart, 10 head.")
    least_inside_body: float = Field(0.9, ge=0, le=1, description="Share of a mask.")
    most_per_slice: int = Field(70, ge=1, description="Masks that are followed from one slice.")
    objects_at_once: int = Field(16, ge=1, description="Followed together; halved where memory does not suffice.")
    empty_slices: int = Field(3, ge=1, description="A mask that is gone for so many slices is not followed further.")
    least_ml: float = Field(0.5, ge=0, description="Smaller masks are left out.")
    duplicate_overlap: float = Field(0.95, gt=0, le=1, description="Masks that overlap more are one.")
    most_levels: int = Field(16, ge=1, description="Label volumes; small masks that fit into none are left out.")
