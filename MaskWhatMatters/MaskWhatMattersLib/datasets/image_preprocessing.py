"""From an image file to what an encoder sees: size or spacing, eight-bit grey; one recipe for pictures and volumes."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class ImagePreprocessing(BaseModel):
    """How an image is prepared; kept in `ModelCard.preprocessing`.

    Pictures and slices (2D) are scaled so that their longer side has `longest_side` pixels; a volume gives its axial
    slices. Volumes (3D) are turned to RAS and resampled to `spacing_mm`. Grey values follow: CT by a window, anything
    else by percentiles. The z-score over the whole image comes last, on the training device.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    spatial_dims: Literal[2, 3] = 3
    longest_side: int = Field(224, ge=8, description="2D: pixels of the longer side.")
    every_slice: int = Field(1, ge=1, description="2D: of a volume, take each so-many-th axial slice.")
    spacing_mm: tuple[float, float, float] | None = Field(
        (1.5, 1.5, 2.0), description="3D: voxel size along R, A and S, mm; None keeps that of each volume."
    )
    ct_window_hu: tuple[float, float] = Field((-175.0, 250.0), description="CT values that become grey 0 and 255, HU.")
    low_percentile: float = Field(0.5, ge=0, le=100, description="Not CT: this value of the image becomes grey 0.")
    high_percentile: float = Field(99.5, ge=0, le=100, description="Not CT: this value of the image becomes grey 255.")

    @model_validator(mode="after")
    def _limits_in_order(self) -> Self:
        if self.low_percentile >= self.high_percentile:
            raise ValueError(
                f"low_percentile must be below high_percentile; found {self.low_percentile} and {self.high_percentile}"
            )
        if self.ct_window_hu[0] >= self.ct_window_hu[1]:
            raise ValueError(f"ct_window_hu must go from low to high; found {list(self.ct_window_hu)}")
        if self.spacing_mm is not None and min(self.spacing_mm) <= 0:
            raise ValueError(f"spacing_mm must be above 0; found {list(self.spacing_mm)}")
        return self
