"""Every setting of MASS's pretraining, and presets to start from."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from MaskWhatMattersLib.mass.preprocessing import MassPreprocessing
from MaskWhatMattersLib.mass.proposals.config import SupervoxelConfig
from MaskWhatMattersLib.networks.mass_config import PRESETS, MassNetworkConfig

Preset = Literal["cpu", "small", "paper"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ViewConfig(_Part):
    """How a crop is changed; each number of the second group is drawn anew, with probability `share`, per crop.

    The defaults are those of the reference view of MASS but for `zoom` and `stretch`, which there are 1 and 1 / 0.7.
    """

    moved: float = Field(0.5, ge=0, le=1, description="Share of crops that are turned, scaled and sheared.")
    zoom: float = Field(1.4, ge=1, le=4, description="Largest factor of size, up and down, alike along all axes.")
    stretch: float = Field(1.1, ge=1, le=2, description="Largest factor of size, up and down, per axis.")
    rotation_deg: float = Field(30.0, ge=0, le=180, description="Largest turn about each axis.")
    shear: float = Field(0.0, ge=0, le=1, description="Largest shear.")

    share: float = Field(0.2, ge=0, le=1, description="Probability of each change of grey values.")
    brightness: tuple[float, float] = Field((0.9, 1.1), description="Factor.")
    shift: float = Field(0.1, ge=0, description="Deviation of what is added, in those of the scan.")
    gamma: tuple[float, float] = Field((0.8, 1.2), description="Exponent, between the crop's lowest and highest value.")
    contrast: tuple[float, float] = Field((0.8, 1.2), description="Factor about the crop's mean, its range kept.")
    blur: tuple[float, float] = Field((0.8, 1.2), description="Deviation of a Gaussian, voxels.")
    noise: float = Field(0.02, ge=0, description="Deviation of added noise, in those of the scan.")


STRONG = ViewConfig(
    moved=0.8,
    zoom=2.0,
    stretch=1.2,
    shear=0.1,
    brightness=(0.8, 1.3),
    shift=0.15,
    gamma=(0.8, 1.3),
    contrast=(0.8, 1.3),
    blur=(0.7, 1.5),
    noise=0.04,
)
"""The query view of MASS, with sizes from a half to double so that a look at twice the spacing finds what it saw."""


class MassPretrainConfig(_Part):
    """A pretraining by in-context segmentation of automatic masks (MASS, arXiv 2603.13660).

    Reference and query are two crops of one scan. Some choices differ from the released code: masks are drawn among
    those that are in the crops (there, before cropping), so that most are in both; sizes vary between a half and
    double; the whole field is a task in half of the episodes (there, in all). The learning rate grows linearly, then
    falls along a cosine, as its one-cycle schedule does but for the shape of the start.
    """

    network: MassNetworkConfig = PRESETS["small"]
    preprocessing: MassPreprocessing = MassPreprocessing()
    proposals: SupervoxelConfig = SupervoxelConfig()
    crop: int = Field(96, ge=16, multiple_of=16, description="Side of a crop, voxels; at most the network's window.")
    batch_size: int = Field(2, ge=1, description="Episodes per step and process.")
    labels: int = Field(8, ge=1, le=64, description="Masks per episode, K.")
    fewer: float = Field(0.5, ge=0, le=1, description="Share of steps with a random number of masks from 1 to K.")
    overlap: float = Field(0.67, ge=0, le=1, description="Least overlap of the two crops per axis, as a share.")
    least_voxels: int = Field(64, ge=1, description="Voxels that a mask has in both crops.")
    absent: float = Field(0.1, ge=0, le=1, description="Share of masks that are chosen to be absent from the query.")
    whole_field: float = Field(0.5, ge=0, le=1, description="Share of episodes with the whole field as one mask.")
    balance: float = Field(
        0.5, ge=0, le=1, description="Sets are drawn by their number of scans to this power; 1: every scan alike."
    )
    reference: ViewConfig = ViewConfig()
    query: ViewConfig = STRONG
    steps: int = Field(20_000, ge=1, description="Optimizer steps.")
    minutes: float | None = Field(None, gt=0, description="Budget: at most as many steps as fit.")
    optimizer: Literal["adamw", "lamb"] = "adamw"
    learning_rate: float = Field(3e-4, gt=0, description="After the warm-up.")
    weight_decay: float = Field(0.01, ge=0, description="Of weights with two axes or more; not of biases and norms.")
    betas: tuple[float, float] = Field((0.9, 0.999), description="Of the running means of the optimizer.")
    warmup: float = Field(0.05, ge=0, lt=1, description="Share of the steps with a growing learning rate.")
    floor: float = Field(0.01, ge=0, le=1, description="Factor of the learning rate at the end.")
    clip: float = Field(1.0, ge=0, description="Largest norm of the gradients; 0 leaves them as they are.")
    averaging: float = Field(0.999, ge=0, lt=1, description="Share that the averaged weights keep; less at the start.")
    precision: Literal["auto", "fp32", "bf16"] = Field("auto", description="auto: bf16 on a GPU, fp32 elsewhere.")
    compile: bool = Field(False, description="Compile the network; worth minutes of waiting on a GPU.")
    channels_last: bool = Field(True, description="Memory layout of convolutions.")
    seed: int = 1337
    log_every: int = Field(10, ge=1, description="Steps between points of the curves.")
    picture_every: int = Field(200, ge=0, description="Steps between pictures of a prediction; 0: none.")
    save_every: int = Field(500, ge=0, description="Steps between checkpoints; 0: only at the end.")
    tensorboard: bool = Field(False, description="Write the curves for TensorBoard, too.")

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if self.crop > self.network.window:
            raise ValueError(f"crop must be at most the network's window; found {self.crop} and {self.network.window}")
        return self


def preset(name: Preset) -> dict[str, Any]:
    """Fields of `MassPretrainConfig`: for a processor, for one GPU, and as the released settings.

    "paper" is the optimisation of the released code with masks of ours; its images were about 5,000 volumes and its
    number of GPUs is not known.
    """
    return {"cpu": _cpu, "small": _small, "paper": _paper}[name]()


def _cpu() -> dict[str, Any]:
    """An hour or more on a processor: large voxels, small crops that see 14 cm, the tiny network."""
    return {
        "network": {**PRESETS["tiny"].model_dump(), "window": 48},
        "preprocessing": {"spacing_mm": 3.0},
        "crop": 48,
        "batch_size": 2,
        "labels": 6,
        "least_voxels": 32,
        "steps": 3_000,
        "learning_rate": 1e-3,
        "log_every": 20,
        "picture_every": 200,
        "save_every": 50,
    }


def _small() -> dict[str, Any]:
    return {"network": PRESETS["small"].model_dump(), "crop": 96, "batch_size": 4, "steps": 20_000}


def _paper() -> dict[str, Any]:
    return {
        "network": {"width": 32, "window": 128, "memory_slots": 0},
        "crop": 128,
        "batch_size": 4,
        "labels": 13,
        "fewer": 0.0,
        "absent": 0.0,
        "whole_field": 1.0,
        "reference": {"zoom": 1.0, "stretch": 1 / 0.7},
        "query": {**STRONG.model_dump(), "zoom": 1.0, "stretch": 1 / 0.7},
        "steps": 100_000,
        "optimizer": "lamb",
        "learning_rate": 2e-3,
        "weight_decay": 1e-5,
        "floor": 4e-5,
        "averaging": 0.99,
    }
