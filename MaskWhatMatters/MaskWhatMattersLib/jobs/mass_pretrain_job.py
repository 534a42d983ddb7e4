"""The job behind `whatmatters mass pretrain`: learn to segment by example from scans without labels."""

from __future__ import annotations

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
    from MaskWhatMattersLib.mass.pretrain_config import MassPretrainConfig
    from MaskWhatMattersLib.progress import Progress


class MassPretrainSpec(JobSpec):
    """What to learn from, how, and where the result goes; the scans may also be the job's data."""

    function: ClassVar[str] = "MaskWhatMattersLib.jobs.mass_pretrain_job:run"

    output: Path = Field(description="Folder of the run; gets model.safetensors, its card, the checkpoint and log.csv.")
    resume: bool = Field(
        True, description="Go on with the run in the output folder. False: take a free name (-2, -3, ...) instead."
    )
    must_go_on: bool = Field(False, description="Refuse to begin anew where the output folder has no checkpoint.")
    images: Path | None = Field(None, description="Folder or manifest; None: an `ImageCases` is the job's data.")
    preset: Literal["cpu", "small", "paper"] | None = Field(None, description="Settings to start from.")
    steps: int | None = Field(None, ge=1, description="Optimizer steps; those of the config when None.")
    minutes: float | None = Field(None, gt=0, description="Budget: at most as many steps as fit.")
    device: str = Field("auto", description='"auto", "cpu", "cuda", "cuda:1".')
    cache: Path | None = Field(None, description="Folder of prepared scans; that of the user when None.")
    only_prepare: bool = Field(False, description="Fill the cache with prepared scans, and learn nothing.")
    send_back: bool = Field(False, description="Put the model into the result, for a worker on another computer.")
    config: dict[str, Any] = Field(default_factory=dict, description="Fields of MassPretrainConfig.")


class MassPretrainExportSpec(JobSpec):
    """Make a model of a run's last checkpoint, for example after its worker was stopped hard."""

    function: ClassVar[str] = "MaskWhatMattersLib.jobs.mass_pretrain_job:export"

    output: Path = Field(description="Folder of the run.")
    send_back: bool = Field(False, description="Put the model into the result, for a worker on another computer.")


def run(spec: MassPretrainSpec, context: Progress, cases: ImageCases | None = None) -> RunResult:
    """Pretrain, and make a model file of the averaged weights.

    A cancel keeps the last step as a checkpoint and makes a model of it before the job ends; that and the folder of
    the run are told as log lines. A run that started from a free name (`resume=False`) keeps no checkpoint once it is
    done. Prepared scans stay in the cache.

    Args:
        spec: Settings and output, and the folder of the scans unless these are given.
        context: Receives stages, steps, a log line of `format_point` for every point of the curves, and one of
            `format_picture` for every picture: reference, truth and prediction side by side.
        cases: Scans of the Slicer scene, or files; those of a split other than "train" are left out.

    Raises:
        InputError: Scans, settings or output folder cannot be used; problems of one kind all at once.
        JobCancelledError: The user asked to stop.
    """
    from MaskWhatMattersLib.mass.pretrain import pretrain
    from MaskWhatMattersLib.mass.pretrain_cache import prepare_scans
    from MaskWhatMattersLib.mass.trained_model import begin_run, export_model

    if spec.must_go_on:
        require_checkpoint(spec.output)
    config = mass_pretrain_settings(spec)
    found = (cases if cases is not None else _cases_of(spec)).learned_from()
    notes: list[str] = list(found.notes)
    if spec.only_prepare:
        prepared = prepare_scans(found.cases, config, context, spec.cache)
        return RunResult(spec.output / "model.safetensors", spec.output.name, 0, {}, (*notes, *prepared.notes))

    def learn(folder: Path) -> None:
        scans = prepare_scans(found.cases, config, context, spec.cache)
        notes.extend(scans.notes)
        pretrain(config, scans, folder, context, spec.device)

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


def export(spec: MassPretrainExportSpec, context: Progress) -> RunResult:
    """Make a model of a run's last checkpoint.

    Raises:
        InputError: There is no checkpoint, or it cannot be used.
    """
    from MaskWhatMattersLib.mass.trained_model import export_model

    context.stage("Making a model of the last checkpoint")
    result = export_model(spec.output)
    return with_files(result) if spec.send_back else result


def mass_pretrain_settings(spec: MassPretrainSpec) -> MassPretrainConfig:
    """All settings: the preset, under those of the config, under what a field of the job names.

    Raises:
        InputError: Settings that are not valid; lists all.
    """
    from MaskWhatMattersLib.mass.pretrain_config import MassPretrainConfig, preset

    typed = {name: getattr(spec, name) for name in ("steps", "minutes") if getattr(spec, name) is not None}
    below = preset(spec.preset) if spec.preset is not None else {}
    return checked_settings(
        MassPretrainConfig, merged(merged(below, spec.config), typed), source="pretraining settings"
    )


def _cases_of(spec: MassPretrainSpec) -> ImageCases:
    from MaskWhatMattersLib.datasets.find_images import find_images
    from MaskWhatMattersLib.datasets.image_preprocessing import ImagePreprocessing

    if spec.images is None:
        raise InputError("There are no scans to learn from; name a folder or manifest, or give the cases as data.")
    return find_images(spec.images, ImagePreprocessing(spatial_dims=3))
