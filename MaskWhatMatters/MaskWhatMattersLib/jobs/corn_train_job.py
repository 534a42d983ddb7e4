"""The job behind "Adapt to my site": train the left atrium networks on a person's own scans."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from MaskWhatMattersLib.config_files import checked_settings, merged
from MaskWhatMattersLib.errors import InputError, ModelFileError
from MaskWhatMattersLib.jobs.spec import JobSpec
from MaskWhatMattersLib.jobs.training_run import train_in_folder

if TYPE_CHECKING:
    from torch import Tensor

    from MaskWhatMattersLib.corn.config import CornTrainingConfig
    from MaskWhatMattersLib.corn.training_result import TrainedModel
    from MaskWhatMattersLib.datasets.training_cases import CornCases
    from MaskWhatMattersLib.models import ModelCard
    from MaskWhatMattersLib.progress import Progress

_TYPED = ("mode", "accuracy_layer", "minutes", "steps")


class CornTrainSpec(JobSpec):
    """What to train on, how, and where the result goes; the scans may also be the job's data."""

    function: ClassVar[str] = "MaskWhatMattersLib.jobs.corn_train_job:run"

    output: Path = Field(description="Folder of the run; gets model.safetensors, its card, the checkpoint and log.csv.")
    resume: bool = Field(
        True, description="Go on with the run in the output folder. False: take a free name (-2, -3, ...) instead."
    )
    images: Path | None = Field(None, description="Folder of images; None: the cases are the job's data.")
    labels: Path | None = Field(None, description="Folder of label maps with the names of their images.")
    labelled: int | tuple[str, ...] | Path = Field(0, description="The first N, names, or a list file.")
    unlabelled: Path | None = Field(None, description="Another folder of images, none of them labelled.")
    validation: int | tuple[str, ...] | Path = Field(0, description="The last N, names, or a list file.")
    foreground: int | None = Field(None, description="Value of the atrium in the label maps; None: they hold 0 and 1.")
    mode: Literal["ours", "paper", "code", "supervised", "mean_teacher"] | None = Field(
        None, description="Method; that of the config when None."
    )
    accuracy_layer: bool | None = Field(None, description="Add the accuracy layer; as in the config when None.")
    start_model: Path | str | None = Field(None, description="Model to start from, name or file; None: from scratch.")
    small_without_gpu: bool = Field(
        False, description="From scratch without a GPU: train at half the resolution and width (`presets.SMALL`)."
    )
    minutes: float | None = Field(None, gt=0, description="Budget: at most as many steps as fit.")
    steps: int | None = Field(None, ge=1, description="Optimizer steps; those of the config when None.")
    device: str = Field("auto", description='"auto", "cpu", "cuda", "cuda:1", "mps".')
    config: dict[str, Any] = Field(default_factory=dict, description="Fields of CornTrainingConfig.")


class CornExportSpec(JobSpec):
    """Make a model of a run's last checkpoint, for example after its worker was stopped hard."""

    function: ClassVar[str] = "MaskWhatMattersLib.jobs.corn_train_job:export"

    output: Path = Field(description="Folder of the run.")


def run(spec: CornTrainSpec, context: Progress, cases: CornCases | None = None) -> TrainedModel:
    """Train, and make a model file of the result.

    A cancel keeps the last step as a checkpoint and makes a model of it before the job ends; that and the folder of
    the run are told as log lines. A run that started from a free name (`resume=False`) keeps no checkpoint once it is
    done.

    Args:
        spec: Settings and output, and the folders of the scans unless these are given.
        context: Receives stages, steps, and a log line of `format_point` for every point of the curves.
        cases: Scans of the Slicer scene, or files.

    Raises:
        InputError: Scans, settings, start model or output folder cannot be used; problems of one kind all at once.
        JobCancelledError: The user asked to stop.
    """
    from MaskWhatMattersLib.corn.train import train
    from MaskWhatMattersLib.corn.trained_model import begin_run, export_model
    from MaskWhatMattersLib.corn.training_result import TrainedModel
    from MaskWhatMattersLib.training.runs import MODEL_FILE

    config, weights, start_card = training_settings(spec)
    found = cases if cases is not None else cases_of(spec)
    return train_in_folder(
        spec.output,
        context,
        resume=spec.resume,
        begin=lambda folder: begin_run(folder, config, found, start_card),
        train=lambda folder: train(config, found, folder, context, spec.device, start=weights),
        export=export_model,
        waiting=lambda folder: TrainedModel(
            folder / MODEL_FILE, folder.name, config.steps, None, len(found.validation)
        ),
    )


def export(spec: CornExportSpec, context: Progress) -> TrainedModel:
    """Make a model of a run's last checkpoint.

    Raises:
        InputError: There is no checkpoint, or it cannot be used.
    """
    from MaskWhatMattersLib.corn.trained_model import export_model

    context.stage("Making a model of the last checkpoint")
    return export_model(spec.output)


def cases_of(spec: CornTrainSpec) -> CornCases:
    """The cases in the folders of a spec.

    Raises:
        InputError: No folder is named, or see `find_cases`.
    """
    from MaskWhatMattersLib.datasets.training_cases import find_cases

    if spec.images is None:
        raise InputError("There are no scans to learn from; name a folder of images, or give the cases as data.")
    return find_cases(
        spec.images,
        spec.labels,
        spec.labelled,
        unlabelled=spec.unlabelled,
        validation=spec.validation,
        foreground=spec.foreground,
    )


def training_settings(spec: CornTrainSpec) -> tuple[CornTrainingConfig, dict[str, Tensor] | None, ModelCard | None]:
    """Settings of the training, and weights and card to start from.

    Network and preprocessing are those of the start model; patch, augmentation, averaging and schedule are those of
    `presets.adaptation`, where the settings say nothing else.

    Raises:
        InputError: Settings that are not valid; lists all.
        ModelFileError: The start model cannot be used, or the settings ask for another network or preprocessing.
    """
    from MaskWhatMattersLib.corn.config import CornTrainingConfig
    from MaskWhatMattersLib.corn.presets import SMALL, adaptation
    from MaskWhatMattersLib.networks.devices import torch_device

    typed = {name: getattr(spec, name) for name in _TYPED if getattr(spec, name) is not None}
    values = merged(spec.config, typed)
    if spec.start_model is None:
        if spec.small_without_gpu and torch_device(spec.device).type == "cpu":
            values = merged(SMALL, values)
        return checked_settings(CornTrainingConfig, values, source="training settings"), None, None

    from MaskWhatMattersLib.corn.model_files import read_network
    from MaskWhatMattersLib.corn.network import ARCHITECTURE, CornNetwork, CornNetworkConfig

    network, preprocessing, card = read_network(spec.start_model, ARCHITECTURE, CornNetworkConfig, CornNetwork)
    of_model = {"network": network.config.model_dump(), "preprocessing": preprocessing.model_dump()}
    recipe = adaptation(preprocessing.spacing_mm, network.config.divisor)
    config = checked_settings(CornTrainingConfig, merged(merged(recipe, of_model), values), source="training settings")
    differing = [
        f"{part}.{name} is {getattr(getattr(config, part), name)!r}, the model has {value!r}"
        for part, fields in of_model.items()
        for name, value in fields.items()
        if config.model_dump()[part][name] != value
    ]
    if differing:
        raise ModelFileError(
            f"The start model {card.name} does not fit the settings: {'; '.join(differing)}. Leave these settings out, "
            "choose another start model, or train from scratch."
        )
    return config, network.state_dict(), card
