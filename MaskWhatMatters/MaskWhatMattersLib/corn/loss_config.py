"""Every number of CORN's losses, with the values that each named mode uses where nothing else is asked for."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

ObjectiveMode = Literal["ours", "paper", "code", "supervised", "mean_teacher"]

_BY_MODE: dict[str, dict[str, Any]] = {
    "ours": {
        "embedding": 64,
        "supervised_weight": 1.0,
        "cross_weight": 1.0,
        "correlation_weight": 0.1,
        "unlabelled_rows": 12800,
        "confident_share": 0.75,
        "anchor_confident_share": 0.5,
    },
    "paper": {
        "embedding": 64,
        "supervised_weight": 1.0,
        "cross_weight": 1.0,
        "correlation_weight": 1.0,
        "unlabelled_rows": 12800,
        "confident_share": 0.75,
        "anchor_confident_share": 0.5,
    },
    "code": {
        "embedding": 32,
        "supervised_weight": 0.5,
        "cross_weight": 1.0,
        "correlation_weight": 0.05,
        "unlabelled_rows": 6400,
        "confident_share": 0.5,
        "anchor_confident_share": 0.0,
    },
}
_BY_MODE["supervised"] = _BY_MODE["ours"]
_BY_MODE["mean_teacher"] = {**_BY_MODE["ours"], "cross_weight": 0.1}  # UA-MT's consistency weight


class AccuracyLayerConfig(BaseModel):
    """What the accuracy layer adds to an objective; none of it is part of CORN."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    warmup: int = Field(
        2000, ge=0, description="Of 15,000 steps: the first, which learn from labelled patches alone; fewer of fewer."
    )
    average: float = Field(0.99, ge=0, lt=1, description="Decay of the averaged main branch.")
    box: float = Field(2 / 3, gt=0, lt=1, description="Side of the pasted box, as a share of the patch's side.")
    pseudo_weight: float = Field(0.5, ge=0, description="Weight of voxels with pseudo-labels; labelled ones have 1.")


class CornLossConfig(BaseModel):
    """Weights and sizes; a field left at None takes the value of the mode (see `for_mode`)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    embedding: int | None = Field(None, ge=2, description="Length d of embeddings; 64, `code`: 32 (what ran).")
    supervised_weight: float | None = Field(None, ge=0, description="Of the supervised loss; 1, `code`: 0.5.")
    cross_weight: float | None = Field(
        None, ge=0, description="Of the loss between branches after the ramp; 1, `mean_teacher`: 0.1."
    )
    correlation_weight: float | None = Field(
        None, ge=0, description="Of the correlation loss after the ramp; `paper`: 1, `code`: 0.05, `ours`: 0.1."
    )
    unlabelled_rows: int | None = Field(
        None, ge=2, description="Unlabelled voxels per class and step; 12800, `code`: 6400 (3200 + 3200)."
    )
    confident_share: float | None = Field(
        None, ge=0, le=1, description="Share of them that is most confident; 0.75, `code`: 0.5."
    )
    anchor_confident_share: float | None = Field(
        None, ge=0, le=1, description="Share of pool voxels that is most confident; 0.5, `code`: 0 (all random)."
    )
    anchor_rows: int = Field(256, ge=2, description="Pool voxels per class and step.")
    pool_rows: int = Field(2048, ge=2, description="Voxels that the pool keeps per labelled scan and class.")
    fusion: float = Field(0.9, ge=0, lt=1, description="Share of the old when the pool meets a scan again.")
    sharpening: float = Field(0.4, gt=0, le=1, description="Temperature of sharpened targets; below 1 sharpens.")
    alignment_weight: float = Field(0.1, ge=0, description="`ours`: same-class covariance distance, inside the loss.")
    unlabelled_groups: int = Field(8, ge=1, description="`ours`, `paper`: covariances per class of unlabelled voxels.")
    pool_groups: int = Field(2, ge=1, description="`ours`, `paper`: covariances per class of pool voxels.")
    shrinkage: float = Field(0.1, ge=0, le=1, description="`ours`, `paper`: of covariances towards a multiple of 1.")
    temperature_decay: float = Field(0.99, ge=0, lt=1, description="Of the running median of distances.")
    minimum_voxels: int = Field(
        1024, ge=2, description="`ours`, `paper`: agreed voxels that every class needs, or the step has no such loss."
    )
    ramp_steps: int = Field(
        6000, ge=0, description="Of 15,000 steps: until weights reach their value; fewer of fewer; 0: from the start."
    )
    ramp_every: int = Field(150, ge=1, description="Steps for which a weight stays the same.")
    teacher_average: float = Field(0.99, ge=0, lt=1, description="`mean_teacher`: decay of the averaged teacher.")
    teacher_noise: float = Field(0.1, ge=0, description="`mean_teacher`: noise on the teacher's input, z-scored units.")
    accuracy: AccuracyLayerConfig = Field(AccuracyLayerConfig(), description="Numbers of the accuracy layer.")

    @classmethod
    def for_mode(cls, mode: ObjectiveMode) -> LossNumbers:
        """The defaults of a mode."""
        return cls().numbers(mode)

    def numbers(self, mode: ObjectiveMode) -> LossNumbers:
        """This config with what was left open filled in for a mode."""
        given = self.model_dump(exclude_none=True)
        return LossNumbers(**{**_BY_MODE[mode], **given})

    @model_validator(mode="after")
    def every_group_has_a_covariance(self) -> CornLossConfig:
        """Groups of fewer than two voxels have no covariance."""
        if self.anchor_rows < 2 * self.pool_groups:
            raise ValueError(
                f"anchor_rows must be at least 2 for each of the {self.pool_groups} pool_groups; "
                f"found {self.anchor_rows}"
            )
        if self.minimum_voxels < 2 * self.unlabelled_groups:
            raise ValueError(
                f"minimum_voxels must be at least 2 for each of the {self.unlabelled_groups} unlabelled_groups; "
                f"found {self.minimum_voxels}"
            )
        return self


class LossNumbers(CornLossConfig):
    """A `CornLossConfig` in which nothing is left open."""

    embedding: int = Field(ge=2)
    supervised_weight: float = Field(ge=0)
    cross_weight: float = Field(ge=0)
    correlation_weight: float = Field(ge=0)
    unlabelled_rows: int = Field(ge=2)
    confident_share: float = Field(ge=0, le=1)
    anchor_confident_share: float = Field(ge=0, le=1)
