"""The jobs behind the tab "Pretrain": learn from images without labels, and say beforehand what that will need."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from MaskWhatMattersLib.jobs.spec import JobSpec


class PretrainSpec(JobSpec):
    """What to learn from, how, and where the result goes; the images may also be the job's data."""

    function: ClassVar[str] = "MaskWhatMattersLib.jobs.pretrain_job:run"

    output: Path = Field(description="Folder of the run; gets model.safetensors, its card, the checkpoint and log.csv.")
    resume: bool = Field(
        True, description="Go on with the run in the output folder. False: take a free name (-2, -3, ...) instead."
    )
    data: Path | None = Field(None, description="Folder or manifest; None: an `ImageCases` is the job's data.")
    preset: Literal["fast", "paper", "best"] | None = Field(None, description="Settings to start from.")
    method: Literal["spark", "mae", "simmim", "simclr"] | None = Field(None, description="As in the config when None.")
    dims: Literal[2, 3] | None = Field(None, description="2: pictures and slices; 3: volumes.")
    steps: int | None = Field(None, ge=1, description="Optimizer steps; those of the config when None.")
    minutes: float | None = Field(None, gt=0, description="Budget: at most as many steps as fit.")
    device: str = Field("auto", description='"auto", "cpu", "cuda", "cuda:1", "mps".')
    cache: Path | None = Field(None, description="Folder of the relevance cache; that of the user when None.")
    send_back: bool = Field(False, description="Put the model into the result, for a worker on another computer.")
    config: dict[str, Any] = Field(default_factory=dict, description="Fields of PretrainConfig.")


class PretrainEstimateSpec(JobSpec):
    """What a pretraining with these settings would need: one step with made-up images is measured."""

    function: ClassVar[str] = "MaskWhatMattersLib.jobs.pretrain_job:estimate"

    preset: Literal["fast", "paper", "best"] | None = None
    method: Literal["spark", "mae", "simmim", "simclr"] | None = None
    dims: Literal[2, 3] | None = None
    steps: int | None = Field(None, ge=1)
    minutes: float | None = Field(None, gt=0)
    device: str = "auto"
    config: dict[str, Any] = Field(default_factory=dict)
