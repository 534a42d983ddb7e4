"""Settings of the MASS network; apart from it, so that they can be read without torch."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

ARCHITECTURE = "mass"
"""What a model card says."""


class MassNetworkConfig(BaseModel):
    """Size of the MASS network; the defaults are those of the released weights (120,126,373 parameters)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    width: int = Field(32, ge=2, description="Channels at full resolution; 2, 4, 8 and 16 times as many further down.")
    window: int = Field(128, ge=16, multiple_of=16, description="Largest side of a reference crop, voxels.")
    queries: int = Field(10, ge=1, description="Learned tokens per label, beside the one that is the masked mean.")
    head_width: int = Field(32, ge=1, description="Channels of an attention head, at most.")
    blocks: int = Field(2, ge=1, description="Attention blocks per scale, in the task encoder and in the decoder.")
    positions: Literal["volume", "factorized", "none"] = Field(
        "volume", description="Learned position per voxel, sum of one per axis, or none."
    )
    memory_slots: int = Field(0, ge=0, description="Token memories that the released file carries (73); never used.")


PRESETS = {
    "official": MassNetworkConfig(memory_slots=73),
    "small": MassNetworkConfig(width=16, window=96, positions="factorized"),
    "tiny": MassNetworkConfig(width=8, window=96, positions="factorized"),
}
"""The released network (120.1 million parameters), and two for our own training: 29.6 and 8.0 million.

Positions as a volume would add 3 * window ** 3 = 2.7 million parameters to either, whatever the width. Factorized they
are 864, but single voxels no longer have numbers of their own; what that costs in accuracy is not measured.
"""
