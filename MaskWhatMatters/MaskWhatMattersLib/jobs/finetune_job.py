"""The jobs behind the tab "Finetune": learn a task from labelled images, from any encoder or from scratch."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from MaskWhatMattersLib.jobs.spec import JobSpec


class FinetuneSpec(JobSpec):
    """What to learn, from what, and where the result goes; the images may also be the job's data."""

    function: ClassVar[str] = "MaskWhatMattersLib.jobs.finetune_job:run"

    output: Path = Field(description="Folder of the run; gets model.safetensors, its card, the checkpoint and log.csv.")
    resume: bool = Field(
        True, description="Go on with the run in the output folder. False: take a free name (-2, -3, ...) instead."
    )
    task: Literal["classification", "detection", "segmentation"] = "segmentation"
    data: Path | None = Field(None, description="Folder or manifest; None: an `ImageCases` is the job's data.")
    start_model: Path | str | None = Field(None, description="Model to start from, name or file; None: from scratch.")
    preset: Literal["fast", "paper", "best"] | None = Field(None, description="Settings to start from.")
    dims: Literal[2, 3] | None = Field(None, description="From scratch. 2: pictures and slices; 3: volumes.")
    validation: float = Field(0.2, ge=0, lt=1, description="Share of the patients for validation without given splits.")
    steps: int | None = Field(None, ge=1, description="Optimizer steps; those of the config when None.")
    minutes: float | None = Field(None, gt=0, description="Budget: at most as many steps as fit.")
    device: str = Field("auto", description='"auto", "cpu", "cuda", "cuda:1", "mps".')
    send_back: bool = Field(False, description="Put the model into the result, for a worker on another computer.")
    config: dict[str, Any] = Field(default_factory=dict, description="Fields of FinetuneConfig.")


class FinetuneEstimateSpec(JobSpec):
    """What a finetuning with these settings would need: one step with made-up images is measured."""

    function: ClassVar[str] = "MaskWhatMattersLib.jobs.finetune_job:estimate"

    task: Literal["classification", "detection", "segmentation"] = "segmentation"
    start_model: Path | str | None = None
    preset: Literal["fast", "paper", "best"] | None = None
    dims: Literal[2, 3] | None = None
    classes: int = Field(2, ge=2, description="Classes, background included.")
    steps: int | None = Field(None, ge=1)
    minutes: float | None = Field(None, gt=0)
    device: str = "auto"
    config: dict[str, Any] = Field(default_factory=dict)
