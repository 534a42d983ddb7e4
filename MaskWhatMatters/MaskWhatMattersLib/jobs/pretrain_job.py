"""The jobs behind the tab "Pretrain": learn from images without labels, and say beforehand what that will need."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from MaskWhatMattersLib.config_files import checked_settings, merged
from MaskWhatMattersLib.datasets.image_cases import ImageCases
from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.jobs.spec import JobSpec
from MaskWhatMattersLib.jobs.training_run import require_checkpoint, train_in_folder, with_files
from MaskWhatMattersLib.training.run_result import RunResult

if TYPE_CHECKING:
    from MaskWhatMattersLib.datasets.image_preprocessing import ImagePreprocessing
    from MaskWhatMattersLib.pretraining.config import PretrainConfig
    from MaskWhatMattersLib.progress import Progress
    from MaskWhatMattersLib.training.resource_estimate import ResourceEstimate


class PretrainSpec(JobSpec):
    """What to learn from, how, and where the result goes; the images may also be the job's data."""

    function: ClassVar[str] = "MaskWhatMattersLib.jobs.pretrain_job:run"

    output: Path = Field(description="Folder of the run; gets model.safetensors, its card, the checkpoint and log.csv.")
    resume: bool = Field(
        True, description="Go on with the run in the output folder. False: take a free name (-2, -3, ...) instead."
    )
    must_go_on: bool = Field(False, description="Refuse to begin anew where the output folder has no checkpoint.")
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
    images: int = Field(0, ge=0, description="How many images there are, where `config` counts in epochs.")
    device: str = "auto"
    config: dict[str, Any] = Field(default_factory=dict)


class PretrainExportSpec(JobSpec):
    """Make a model of a run's last checkpoint, for example after its worker was stopped hard."""

    function: ClassVar[str] = "MaskWhatMattersLib.jobs.pretrain_job:export"

    output: Path = Field(description="Folder of the run.")
    send_back: bool = Field(False, description="Put the model into the result, for a worker on another computer.")


def run(spec: PretrainSpec, context: Progress, cases: ImageCases | None = None) -> RunResult:
    """Pretrain, and make a model file of the encoder.

    A cancel keeps the last step as a checkpoint and makes a model of it before the job ends; that and the folder of
    the run are told as log lines. A run that started from a free name (`resume=False`) keeps no checkpoint once it is
    done.

    Args:
        spec: Settings and output, and the folder of the images unless these are given.
        context: Receives stages, steps, a log line of `format_point` for every point of the curves, and one of
            `format_picture` for every picture: original, masked and reconstructed side by side.
        cases: Images of the Slicer scene, or files; those of a split other than "train" are left out.

    Raises:
        InputError: Images, settings or output folder cannot be used; problems of one kind all at once.
        JobCancelledError: The user asked to stop.
    """
    from MaskWhatMattersLib.datasets.prepare_images import prepare_images
    from MaskWhatMattersLib.datasets.relevance_cache import RelevanceCache
    from MaskWhatMattersLib.pretraining.train import train
    from MaskWhatMattersLib.pretraining.trained_model import begin_run, export_model

    if spec.must_go_on:
        require_checkpoint(spec.output)
    config = pretrain_settings(spec)
    found = (cases if cases is not None else _cases_of(spec, config.preprocessing)).learned_from()
    notes: list[str] = list(found.notes)

    def learn(folder: Path) -> None:
        cache = RelevanceCache(spec.cache)
        images = prepare_images(found, config.preprocessing, config.region, context, cache, device=spec.device)
        notes.extend(images.notes)
        train(config, images, folder, context, spec.device)

    result = train_in_folder(
        spec.output,
        context,
        resume=spec.resume,
        begin=lambda folder: begin_run(folder, config, found),
        train=learn,
        export=lambda folder: export_model(folder, tuple(notes)),
        waiting=lambda folder: RunResult(folder / "model.safetensors", folder.name, config.steps, {}),
    )
    return with_files(result) if spec.send_back else result


def export(spec: PretrainExportSpec, context: Progress) -> RunResult:
    """Make a model of a run's last checkpoint.

    Raises:
        InputError: There is no checkpoint, or it cannot be used.
    """
    from MaskWhatMattersLib.pretraining.trained_model import export_model

    context.stage("Making a model of the last checkpoint")
    result = export_model(spec.output)
    return with_files(result) if spec.send_back else result


def estimate(spec: PretrainEstimateSpec, context: Progress) -> ResourceEstimate:
    """What a pretraining with these settings would need, before any image is read.

    Raises:
        InputError: Settings or device cannot be used.
    """
    from MaskWhatMattersLib.pretraining.estimate import estimate as measured

    context.stage("Measuring a step")
    return measured(pretrain_settings(spec), spec.device, spec.images)


def pretrain_settings(spec: PretrainSpec | PretrainEstimateSpec) -> PretrainConfig:
    """All settings: the preset, under those of the config, under what a field of the job names.

    Raises:
        InputError: Settings that are not valid; lists all.
    """
    from MaskWhatMattersLib.masking.counts import most_visible
    from MaskWhatMattersLib.pretraining.config import PretrainConfig
    from MaskWhatMattersLib.pretraining.presets import preset

    typed = {name: getattr(spec, name) for name in ("steps", "minutes") if getattr(spec, name) is not None}
    method = spec.method or spec.config.get("method")
    below = preset(spec.preset, method, spec.dims) if spec.preset is not None else {}
    if spec.preset is None and spec.method is not None:
        typed["method"] = spec.method
    if spec.config.get("encoder", {}).get("kind", "") not in ("", below.get("encoder", {}).get("kind")):
        below.pop("encoder", None)  # fields of one kind of encoder say nothing about another
    values = merged(merged(below, spec.config), typed)
    if "prompts" in values.get("region", {}):
        values = merged({"region": {"source": "prompts"}}, values)
    if values.get("region", {}).get("source", "none") != "none":
        values = merged({"masking": {"kind": "relevance"}}, values)
    config = checked_settings(PretrainConfig, values, source="pretraining settings")
    if config.method != "simclr":
        most_visible(config.masking, math.prod(config.grid))  # refuses a budget that cannot be met
    return config


def _cases_of(spec: PretrainSpec, preprocessing: ImagePreprocessing) -> ImageCases:
    from MaskWhatMattersLib.datasets.find_images import find_images

    if spec.data is None:
        raise InputError("There are no images to learn from; name a folder or manifest, or give the cases as data.")
    return find_images(spec.data, preprocessing)
