"""An example: a scan and what a person marked on it."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field

from MaskWhatMattersLib.models.card import Code
from MaskWhatMattersLib.volumes import Volume

MOST_LABELS = 64
"""In one task; every label takes memory and attends to all others."""


class TaskLabel(BaseModel):
    """One thing to be segmented."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    value: int = Field(ge=1, le=65535, description="Integer in label maps.")
    name: str = Field(min_length=1)
    color: tuple[float, float, float] | None = Field(None, description="Red, green, blue, 0 to 1.")
    category: Code | None = None
    type: Code | None = None
    type_modifier: Code | None = Field(None, description="Side, for example Left.")
    several_parts: bool = Field(False, description="Whether it has more than one component in any example.")
    volume_ml: float | None = Field(None, ge=0, description="Mean over the examples that have it.")


@dataclass(frozen=True, eq=False)
class Example:
    """A scan with its masks, on the scan's own voxels; masks may overlap.

    Attributes:
        image: Scalar scan, [1, D, H, W].
        masks: 0 or 1, uint8 [K, D, H, W], on the same voxels.
        labels: What the K masks are. Examples of one task agree on value and name; each may have other labels.
    """

    image: Volume
    masks: Volume
    labels: tuple[TaskLabel, ...]
