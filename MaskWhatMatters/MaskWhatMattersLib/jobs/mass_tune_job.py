"""The jobs behind "Tune on my cases": fit a task to a few labelled scans, beside a plain network as a yardstick."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from pydantic import Field

from MaskWhatMattersLib.config_files import checked_settings, merged
from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.jobs.spec import JobSpec
from MaskWhatMattersLib.jobs.training_run import train_in_folder
from MaskWhatMattersLib.mass.tune_cases import CaseFiles, TuneCases, held_out_cases
from MaskWhatMattersLib.mass.tune_config import MassTuneConfig, TuneMode
from MaskWhatMattersLib.mass.tune_result import TunedTask
from MaskWhatMattersLib.training.launched import process_count

if TYPE_CHECKING:
    from MaskWhatMattersLib.mass.example import Example
    from MaskWhatMattersLib.progress import Progress

_TYPED = ("mode", "minutes", "steps", "baseline")


class MassTuneSpec(JobSpec):
    """What to tune, on what, and where the result goes; the cases may also be the job's data, as examples."""

    function: ClassVar[str] = "MaskWhatMattersLib.jobs.mass_tune_job:run"

    output: Path = Field(
        description="Folder of the run; gets NAME.task.safetensors, log.csv, and a model if more learned."
    )
    resume: bool = Field(
        True, description="Go on with the run in the output folder. False: take a free name (-2, -3, ...) instead."
    )
    cases: tuple[CaseFiles, ...] = Field((), description="Scans with label maps; none: examples are the job's data.")
    labels: tuple[str, ...] = Field((), description="Values or names of the labels to learn; none: all.")
    names: dict[int, str] = Field(default_factory=dict, description="What values in label maps are called.")
    model: Path | str | None = Field(None, description="Model to start from, name or file; None: the default.")
    mode: TuneMode | None = Field(None, description="What learns; that of the config when None.")
    minutes: float | None = Field(None, gt=0, description="Budget; half of it is the baseline's where there is one.")
    steps: int | None = Field(None, ge=1, description="Optimizer steps; those of the mode when None.")
    baseline: bool | None = Field(None, description="Train a plain U-Net, too; None: from five cases on.")
    device: str = Field("auto", description='"auto", "cpu", "cuda", "cuda:1", "mps".')
    send_back: bool = Field(False, description="Put the files into the result, for a worker on another computer.")
    config: dict[str, Any] = Field(default_factory=dict, description="Fields of MassTuneConfig.")


class MassTuneExportSpec(JobSpec):
    """Make a task of a run's last checkpoint, for example after its worker was stopped hard."""

    function: ClassVar[str] = "MaskWhatMattersLib.jobs.mass_tune_job:export"

    output: Path = Field(description="Folder of the run.")
    send_back: bool = Field(False, description="Put the files into the result, for a worker on another computer.")


def run(spec: MassTuneSpec, context: Progress, *examples: Example) -> TunedTask:
    """Tune a task, and make its file, and that of its model where more than tokens learned.

    A cancel keeps the last step as a checkpoint and makes a task of it before the job ends; that and the folder of the
    run are told as log lines. A run that started from a free name (`resume=False`) keeps no checkpoint once it is done.

    Args:
        spec: Settings and output, and the files of the cases unless examples are given.
        context: Receives stages, steps, and a log line of `format_point` for every point of the curves: loss, dice
            and baseline_dice; the last two where a case is held out.
        examples: Scans with masks, one per case.

    Raises:
        InputError: Cases, settings, model or output folder cannot be used; problems of one kind all at once.
        JobCancelledError: The user asked to stop.
    """
    from MaskWhatMattersLib.mass.tune import tune
    from MaskWhatMattersLib.mass.tuned_model import begin_run, export_task

    config = tune_settings(spec)
    if process_count() > 1:
        raise InputError("Tuning runs in one process. Start it without torchrun or srun.")
    cases, found = cases_of(spec, config, examples)
    for note in found:
        context.log(note)
    context.log(_split_words(cases))
    result = train_in_folder(
        spec.output,
        context,
        resume=spec.resume,
        begin=lambda folder: begin_run(folder, config, cases, spec.model),
        train=lambda folder: tune(config, cases, folder, context, spec.device, model=spec.model),
        export=export_task,
        waiting=export_task,
    )
    return _sent(spec, result)


def export(spec: MassTuneExportSpec, context: Progress) -> TunedTask:
    """Make a task of a run's last checkpoint.

    Raises:
        InputError: There is no checkpoint, or it cannot be used.
    """
    from MaskWhatMattersLib.mass.tuned_model import export_task

    context.stage("Making a task of the last checkpoint")
    return _sent(spec, export_task(spec.output))


def tune_settings(spec: MassTuneSpec) -> MassTuneConfig:
    """All settings of a tuning.

    Raises:
        InputError: Settings that are not valid; lists all.
    """
    typed = {name: getattr(spec, name) for name in _TYPED if getattr(spec, name) is not None}
    return checked_settings(MassTuneConfig, merged(spec.config, typed), source="tuning settings")


def cases_of(
    spec: MassTuneSpec, config: MassTuneConfig, examples: tuple[Example, ...]
) -> tuple[TuneCases, tuple[str, ...]]:
    """The cases with those that are held out, and what the user should know of their labels.

    Raises:
        InputError: No cases, or cases that cannot be used; all problems together.
    """
    from MaskWhatMattersLib.mass.example_files import read_examples
    from MaskWhatMattersLib.mass.examples import shared_labels

    notes: tuple[str, ...] = ()
    if not examples:
        if not spec.cases:
            raise InputError("There are no cases to tune on. Give scans, each with its label map.")
        files = [(case.image, case.label_map) for case in spec.cases]
        read = read_examples(files, names=spec.names, chosen=spec.labels)
        examples, notes = read.examples, read.notes
    shared_labels(examples)  # or says what is wrong with them
    _require_different(examples)
    drawn = [
        [label.value for label, mask in zip(example.labels, example.masks.array, strict=True) if mask.any()]
        for example in examples
    ]
    return TuneCases(examples, held_out_cases(drawn, config.held_out, config.seed)), notes


def _require_different(examples: tuple[Example, ...]) -> None:
    """Refuse a scan that is there twice: one copy would be learned from, and the other measure."""
    for number, example in enumerate(examples, 1):
        for earlier, other in enumerate(examples[: number - 1], 1):
            if np.array_equal(example.image.array, other.image.array):
                raise InputError(
                    f"The cases {earlier} and {number} hold the same scan, which would be learned from and measure, "
                    "too. Give each scan once, with all its labels."
                )


def _split_words(cases: TuneCases) -> str:
    """Which cases are held out, for the log."""
    learned = len(cases.learned)
    words = f"Learning from {learned} case{'s' * (learned > 1)}; "
    if not cases.held_out:
        return f"{words}none is held out to measure the result."
    return f"{words}held out to measure the result: {', '.join(f'case {place + 1}' for place in cases.held_out)}."


def _sent(spec: MassTuneSpec | MassTuneExportSpec, result: TunedTask) -> TunedTask:
    from MaskWhatMattersLib.mass.tuned_model import with_files

    return with_files(result) if spec.send_back else result
