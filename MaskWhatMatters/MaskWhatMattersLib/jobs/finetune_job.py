"""The jobs behind the tab "Finetune": learn a task from labelled images, from any encoder or from scratch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.jobs.spec import JobSpec
from MaskWhatMattersLib.jobs.training_run import train_in_folder, with_files
from MaskWhatMattersLib.training.run_result import RunResult

if TYPE_CHECKING:
    from MaskWhatMattersLib.datasets.image_cases import ImageCases
    from MaskWhatMattersLib.finetuning.config import FinetuneConfig
    from MaskWhatMattersLib.finetuning.transfer import StartEncoder
    from MaskWhatMattersLib.progress import Progress
    from MaskWhatMattersLib.training.resource_estimate import ResourceEstimate


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
    preset: Literal["fast", "paper", "best"] | None = Field(
        None, description='Settings to start from; None: "fast", unless the config holds an encoder.'
    )
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


class FinetuneExportSpec(JobSpec):
    """Make a model of a run's last checkpoint, for example after its worker was stopped hard."""

    function: ClassVar[str] = "MaskWhatMattersLib.jobs.finetune_job:export"

    output: Path = Field(description="Folder of the run.")
    send_back: bool = Field(False, description="Put the model into the result, for a worker on another computer.")


def run(
    spec: FinetuneSpec,
    context: Progress,
    cases: ImageCases | None = None,
    start_files: Mapping[str, bytes] | None = None,
) -> RunResult:
    """Finetune, and make a model file of the weights that were best on the validation split.

    A cancel keeps the last step as a checkpoint and makes a model of it before the job ends; that and the folder of
    the run are told as log lines. A run that started from a free name (`resume=False`) keeps no checkpoint once it is
    done.

    Args:
        spec: Settings and output, and the folder of the images unless these are given.
        context: Receives stages, steps, a log line of `format_point` for every point of the curves, and what became
            of the start model's tensors.
        cases: Images of the Slicer scene, or files; those without a split are divided by patients.
        start_files: Start model and card by file name, where the model lies on another computer than the worker.

    Raises:
        InputError: Images, labels, settings, start model or output folder cannot be used; problems of one kind all at
            once.
        JobCancelledError: The user asked to stop.
    """
    from MaskWhatMattersLib.finetuning.few_labels import with_label_fraction
    from MaskWhatMattersLib.finetuning.train import train
    from MaskWhatMattersLib.finetuning.trained_model import begin_run, export_model

    config, start = settings_with(spec, start_files)
    found = with_label_fraction(_divided(spec, config, cases), config.label_fraction, config.seed)
    for note in found.notes:
        context.log(note)
    context.log(split_words(found))
    if start is None and config.schedule == "frozen":
        context.log(
            "There is no start model: the encoder stands still with random weights. Choose a model to start from."
        )
    result = train_in_folder(
        spec.output,
        context,
        resume=spec.resume,
        begin=lambda folder: begin_run(folder, config, found, start.card if start is not None else None),
        train=lambda folder: train(config, found, folder, context, spec.device, start=start),
        export=lambda folder: export_model(folder, found.notes),
        waiting=lambda folder: RunResult(folder / "model.safetensors", folder.name, config.steps, {}),
    )
    return with_files(result) if spec.send_back else result


def export(spec: FinetuneExportSpec, context: Progress) -> RunResult:
    """Make a model of a run's last checkpoint.

    Raises:
        InputError: There is no checkpoint, or it cannot be used.
    """
    from MaskWhatMattersLib.finetuning.trained_model import export_model

    context.stage("Making a model of the last checkpoint")
    result = export_model(spec.output)
    return with_files(result) if spec.send_back else result


def estimate(
    spec: FinetuneEstimateSpec, context: Progress, start_files: Mapping[str, bytes] | None = None
) -> ResourceEstimate:
    """What a finetuning with these settings would need, before any image is read.

    Args:
        spec: Settings.
        context: Told of the stage.
        start_files: See `run`.

    Raises:
        InputError: Settings, start model or device cannot be used.
    """
    from MaskWhatMattersLib.finetuning.estimate import estimate as measured

    context.stage("Measuring a step")
    return measured(settings_with(spec, start_files)[0], spec.classes, spec.device)


def settings_with(
    spec: FinetuneSpec | FinetuneEstimateSpec, start_files: Mapping[str, bytes] | None
) -> tuple[FinetuneConfig, StartEncoder | None]:
    """As `settings_of`, with a start model that was sent along.

    Raises:
        InputError: Settings that are not valid, or a start model that cannot be used.
    """
    if not start_files:
        return settings_of(spec)
    with TemporaryDirectory(prefix="whatmatters-", ignore_cleanup_errors=True) as name:
        files = [Path(name) / Path(sent).name for sent in start_files]
        for file, content in zip(files, start_files.values(), strict=True):
            file.write_bytes(content)
        model = next(file for file in files if file.suffix == ".safetensors")
        return settings_of(spec.model_copy(update={"start_model": model}))


def settings_of(spec: FinetuneSpec | FinetuneEstimateSpec) -> tuple[FinetuneConfig, StartEncoder | None]:
    """All settings and the encoder to start from; see `finetuning.settings`.

    Raises:
        InputError: Settings that are not valid, or a start model that cannot be used.
    """
    from MaskWhatMattersLib.config_files import merged
    from MaskWhatMattersLib.finetuning.settings import finetune_settings

    typed = {name: getattr(spec, name) for name in ("steps", "minutes") if getattr(spec, name) is not None}
    return finetune_settings(
        spec.task, merged(spec.config, typed), start_model=spec.start_model, name=spec.preset, dims=spec.dims
    )


def split_words(cases: ImageCases) -> str:
    """How many images and patients each split has, and what that means for the result, for the log."""
    counts = []
    for split in ("train", "val", "test"):
        if images := len(cases.of(split)):
            patients = len({case.patient for case in cases.of(split)})
            of_whom = f"{patients} patient{'s' * (patients > 1)}"
            counts.append(f"{split} {images} image{'s' * (images > 1)} of {of_whom}")
    selected = "" if cases.of("val") else " Without a validation split nothing is selected: the last step is kept."
    return f"Splits: {', '.join(counts)}.{selected}"


def _divided(spec: FinetuneSpec, config: FinetuneConfig, cases: ImageCases | None) -> ImageCases:
    """The images with a split each."""
    from dataclasses import replace

    from MaskWhatMattersLib.datasets.find_images import find_labelled
    from MaskWhatMattersLib.datasets.splits import assign_splits

    if cases is not None:
        by_class = spec.task == "classification"
        return replace(cases, cases=assign_splits(cases.cases, spec.validation, config.seed, by_class=by_class))
    if spec.data is None:
        raise InputError("There are no images to learn from; name a folder or manifest, or give the cases as data.")
    return find_labelled(
        spec.data,
        spec.task,
        validation=spec.validation,
        seed=config.seed,
        preprocessing=config.preprocessing,
    )
