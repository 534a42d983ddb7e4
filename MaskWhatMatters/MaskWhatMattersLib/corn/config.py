"""Everything that decides a training of the left atrium networks."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from MaskWhatMattersLib.corn.loss_config import CornLossConfig
from MaskWhatMattersLib.corn.network import CornNetworkConfig
from MaskWhatMattersLib.corn.preprocessing import ScanPreprocessing
from MaskWhatMattersLib.datasets.device_scans import PatchAugmentConfig

Mode = Literal["ours", "paper", "code", "supervised", "mean_teacher"]


class CornTrainingConfig(BaseModel):
    """Settings of one training; the defaults are the published protocol, seed 1337.

    `mode` says which method a number belongs to: `paper` and `code` are the two published versions of CORN, `ours` the
    well-posed one, `supervised` and `mean_teacher` the baselines on the same networks.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    mode: Mode = Field("ours", description="Method.")
    accuracy_layer: bool = Field(False, description="Add averaged teacher, copy-paste and warm-up; never called CORN.")
    network: CornNetworkConfig = Field(CornNetworkConfig(), description="Shape of the two V-Nets.")
    preprocessing: ScanPreprocessing = Field(ScanPreprocessing(), description="What happens to scans first.")
    losses: CornLossConfig = Field(CornLossConfig(), description="Weights and sizes of the losses.")
    augment: PatchAugmentConfig = Field(PatchAugmentConfig(), description="How patches change.")
    patch_size: tuple[int, ...] = Field((80, 112, 112), min_length=2, max_length=3, description="Voxels, D, H, W.")
    labelled_per_batch: int = Field(2, ge=1, description="Labelled patches per step and process.")
    unlabelled_per_batch: int = Field(2, ge=0, description="Unlabelled patches per step and process.")
    steps: int = Field(15000, ge=1, description="Optimizer steps.")
    minutes: float | None = Field(None, gt=0, description="Budget: fewer steps where they do not fit.")
    learning_rate: float = Field(0.01, gt=0, description="Of stochastic gradient descent.")
    momentum: float = Field(0.9, ge=0, lt=1, description="Of stochastic gradient descent.")
    weight_decay: float = Field(1e-4, ge=0, description="L2 penalty.")
    schedule: Literal["auto", "constant", "poly"] = Field(
        "auto", description="Learning rate over the steps; auto: poly with the accuracy layer, else constant."
    )
    warmup: int = Field(0, ge=0, description="Steps over which the learning rate grows to its value.")
    average: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="Decay of averaged weights, validated and kept; 0: off; None: the accuracy layer's.",
    )
    seed: int = Field(1337, ge=0, description="Of everything random.")
    log_every: int = Field(10, ge=1, description="Steps between lines of the log.")
    validate_every: int = Field(500, ge=0, description="Steps between validations; 0: never.")
    save_every: int = Field(200, ge=1, description="Steps between checkpoints.")
    precision: Literal["auto", "fp32", "bf16"] = Field("auto", description="auto: bf16 on a GPU, fp32 elsewhere.")
    compile: bool = Field(False, description="Compile the networks; the first step takes minutes.")
    channels_last: bool = Field(True, description="Memory layout that convolutions read faster.")
    tensorboard: bool = Field(False, description="Write the curves for TensorBoard too.")

    @property
    def uses_unlabelled(self) -> bool:
        """Whether the method learns from scans without labels."""
        return self.mode != "supervised"

    @property
    def decay(self) -> float:
        """Decay of the averaged weights that are kept; 0 keeps the weights as trained."""
        if self.average is not None:
            return self.average
        return self.losses.accuracy.average if self.accuracy_layer else 0.0

    @property
    def course(self) -> Literal["constant", "poly"]:
        """Learning rate over the steps."""
        if self.schedule == "auto":
            return "poly" if self.accuracy_layer else "constant"
        return self.schedule

    @model_validator(mode="after")
    def the_patch_fits_the_network(self) -> CornTrainingConfig:
        """Sides are multiples of the divisor, one for each dimension."""
        if len(self.patch_size) != self.network.spatial_dims:
            raise ValueError(
                f"patch_size needs {self.network.spatial_dims} numbers (network.spatial_dims); found {self.patch_size}"
            )
        if any(side % self.network.divisor for side in self.patch_size):
            raise ValueError(
                f"patch_size must be multiples of {self.network.divisor} (network.depth = {self.network.depth}); "
                f"found {self.patch_size}"
            )
        return self

    @model_validator(mode="after")
    def the_method_gets_what_it_learns_from(self) -> CornTrainingConfig:
        """Semi-supervised methods need unlabelled patches."""
        if self.uses_unlabelled and not self.unlabelled_per_batch:
            raise ValueError(f"mode {self.mode!r} learns from unlabelled patches; unlabelled_per_batch is 0")
        return self
