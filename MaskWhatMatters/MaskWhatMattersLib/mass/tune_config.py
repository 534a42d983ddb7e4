"""Everything that decides how a task is tuned on a few labelled scans."""

from __future__ import annotations

from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from MaskWhatMattersLib.mass.pretrain_config import STRONG, ViewConfig

TuneMode = Literal["tokens", "head", "full"]
BASELINE_FROM = 5
"""Cases from which on a plain network of its own is worth comparing with (MASS; Medverse, arXiv 2509.09232)."""


class _Recipe(NamedTuple):
    """What a mode takes where the settings say nothing else."""

    steps: int
    token_rate: float
    network_rate: float
    weight_decay: float
    decay: float


_RECIPES = {
    # In-context tuning of Iris (arXiv 2503.19359, section 3.3); the rates of the other two are those of MASS.
    "tokens": _Recipe(steps=150, token_rate=1e-2, network_rate=0.0, weight_decay=0.0, decay=0.0),
    "head": _Recipe(steps=300, token_rate=5e-4, network_rate=5e-4, weight_decay=1e-3, decay=0.0),
    "full": _Recipe(steps=5000, token_rate=5e-4, network_rate=5e-4, weight_decay=1e-3, decay=0.999),
}
_VIEW = STRONG.model_copy(update={"zoom": 1.0, "stretch": 1 / 0.7})


class MassTuneConfig(BaseModel):
    """Settings of one tuning (MASS, arXiv 2603.13660; recipe of its released code); None: what suits the mode."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mode: TuneMode = Field("tokens", description="What learns: the tokens; also the classifier; or everything.")
    minutes: float | None = Field(
        None, gt=0, description="Budget; half of it goes to the baseline where there is one. Fewer steps if need be."
    )
    steps: int | None = Field(None, ge=1, description="Optimizer steps; None: 150, 300 or 5000 by mode.")
    token_rate: float | None = Field(None, gt=0, description="Learning rate of the tokens; None: by mode.")
    network_rate: float | None = Field(None, gt=0, description="Learning rate of the network; None: by mode.")
    weight_decay: float | None = Field(None, ge=0, description="Of what learns beside the tokens; None: by mode.")
    average: float | None = Field(None, ge=0, lt=1, description="Decay of averaged weights; 0: off; None: by mode.")
    baseline: bool | None = Field(
        None, description=f"Train a plain U-Net on the same cases, too; None: from {BASELINE_FROM} cases on."
    )
    baseline_width: int = Field(16, ge=2, description="Channels of the U-Net at full resolution.")
    baseline_rate: float = Field(1e-3, gt=0, description="Learning rate of the U-Net.")
    held_out: float = Field(0.2, ge=0, lt=1, description="Share of three or more cases that only measures; 0: none.")
    spacing_mm: float | None = Field(None, gt=0, description="Of the voxels that the network sees; None: its own.")
    window: int | None = Field(None, ge=16, multiple_of=16, description="Side of a crop, voxels; None: the network's.")
    foreground: float = Field(0.7, ge=0, le=1, description="Share of crops that are centred on a label.")
    batch_size: int = Field(2, ge=1, description="Crops per step.")
    view: ViewConfig = Field(_VIEW, description="How crops are turned, scaled, sheared and recoloured.")
    clip: float = Field(1.0, ge=0, description="Largest norm of the gradient; 0: any.")
    validations: int = Field(8, ge=1, description="How often the held-out cases are looked at, at most.")
    patience: int = Field(4, ge=1, description="Validations without a better Dice after which tuning stops.")
    seed: int = Field(0, ge=0, description="Of everything random.")
    log_every: int = Field(5, ge=1, description="Steps between lines of the log.")
    save_every: int = Field(50, ge=1, description="Steps between checkpoints.")
    precision: Literal["auto", "fp32", "bf16"] = Field("auto", description="auto: bf16 on a GPU, fp32 elsewhere.")
    tensorboard: bool = Field(False, description="Write the curves for TensorBoard too.")

    @property
    def recipe(self) -> _Recipe:
        """The numbers that depend on the mode, with those of the settings on top."""
        usual = _RECIPES[self.mode]
        return _Recipe(
            steps=usual.steps if self.steps is None else self.steps,
            token_rate=usual.token_rate if self.token_rate is None else self.token_rate,
            network_rate=usual.network_rate if self.network_rate is None else self.network_rate,
            weight_decay=usual.weight_decay if self.weight_decay is None else self.weight_decay,
            decay=usual.decay if self.average is None else self.average,
        )

    def has_baseline(self, cases: int) -> bool:
        """Whether a plain U-Net is trained on so many cases, too."""
        return cases >= BASELINE_FROM if self.baseline is None else self.baseline
