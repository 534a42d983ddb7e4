"""The jobs behind "Tune on my cases": fit a task to a few labelled scans, beside a plain network as a yardstick."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from MaskWhatMattersLib.config_files import checked_settings, merged
from MaskWhatMattersLib.jobs.spec import JobSpec
from MaskWhatMattersLib.mass.tune_cases import TuneCase
from MaskWhatMattersLib.mass.tune_config import MassTuneConfig, TuneMode
from MaskWhatMattersLib.mass.tune_result import TunedTask

if TYPE_CHECKING:
    from MaskWhatMattersLib.mass.example import Example
    from MaskWhatMattersLib.progress import Progress

_TYPED = ("mode", "minutes", "steps", "baseline")


class MassTuneSpec(JobSpec):
    """What to tune, on what, and where the result goes; the cases may also be the job's data, as examples."""

    function: ClassVar[str] = "MaskWhatMattersLib.jobs.mass_tune_job:run"

    output: Path = Field(description="Folder of the run; gets task.safetensors, log.csv, and a model if more learned.")
    resume: bool = Field(
        True, description="Go on with the run in the output folder. False: take a free name (-2, -3, ...) instead."
    )
    cases: tuple[TuneCase, ...] = Field((), description="Scans with label maps; none: examples are the job's data.")
    values: tuple[int, ...] = Field((), description="Labels to learn, by value; none: all.")
    names: dict[int, str] = Field(default_factory=dict, description="What the values in the label maps are called.")
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
    raise NotImplementedError


def export(spec: MassTuneExportSpec, context: Progress) -> TunedTask:
    """Make a task of a run's last checkpoint.

    Raises:
        InputError: There is no checkpoint, or it cannot be used.
    """
    raise NotImplementedError


def tune_settings(spec: MassTuneSpec) -> MassTuneConfig:
    """All settings of a tuning.

    Raises:
        InputError: Settings that are not valid; lists all.
    """
    typed = {name: getattr(spec, name) for name in _TYPED if getattr(spec, name) is not None}
    return checked_settings(MassTuneConfig, merged(spec.config, typed), source="tuning settings")
