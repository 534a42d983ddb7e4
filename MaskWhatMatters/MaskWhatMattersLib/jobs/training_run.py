"""What every training job does around its training: a folder, a model at the end, and one after a cancel, too."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Protocol, TypeVar

from pydantic import Field

from MaskWhatMattersLib.errors import InputError, JobCancelledError
from MaskWhatMattersLib.jobs.spec import JobSpec
from MaskWhatMattersLib.training.launched import is_first_process

if TYPE_CHECKING:
    from MaskWhatMattersLib.progress import Progress
    from MaskWhatMattersLib.training.run_result import RunResult


class Trained(Protocol):
    """What every training hands back."""

    @property
    def path(self) -> Path:
        """The model file."""
        ...

    @property
    def steps(self) -> int:
        """Optimizer steps done."""
        ...


Result = TypeVar("Result", bound=Trained)


class DiscardSpec(JobSpec):
    """Remove the folder of a run whose model was sent back to another computer."""

    function: ClassVar[str] = "MaskWhatMattersLib.jobs.training_run:discard"

    output: Path = Field(description="Folder of the run.")


def discard(spec: DiscardSpec, context: Progress) -> None:
    """Remove the folder of a run, and the one around it when nothing else is in there.

    Raises:
        InputError: It is not the folder of a run.
    """
    from MaskWhatMattersLib.training.runs import RUN_FILE

    if not (spec.output / RUN_FILE).is_file():
        raise InputError(f"{spec.output} is not the folder of a training: it has no {RUN_FILE}. Nothing was removed.")
    context.stage("Removing the files of the training")
    shutil.rmtree(spec.output, ignore_errors=True)
    with contextlib.suppress(OSError):  # other runs are in it
        spec.output.parent.rmdir()


def require_checkpoint(folder: Path) -> None:
    """See that there is a training to go on with.

    Raises:
        InputError: There is none, for example because another worker had begun it.
    """
    from MaskWhatMattersLib.training.checkpoints import CHECKPOINT

    if not (folder / CHECKPOINT).is_file():
        raise InputError(
            f"There is no checkpoint of the training {folder.name} on the computer that was asked to go on with it. "
            "Go on where it was paused, or start a new one."
        )


def train_in_folder(
    output: Path,
    context: Progress,
    *,
    resume: bool,
    begin: Callable[[Path], None],
    train: Callable[[Path], object],
    export: Callable[[Path], Result],
    waiting: Callable[[Path], Result],
) -> Result:
    """Train in a folder and make a model of the last checkpoint; after a cancel, too, before the job ends.

    Args:
        output: Folder of the run.
        context: Told of the folder, and of the model after a cancel, as log lines.
        resume: Go on with the run in the folder. False: take a free name, and keep no checkpoint once it is done.
        begin: Notes what is trained, or refuses the folder.
        train: Trains, resuming where the folder left off.
        export: Makes the model file.
        waiting: What all processes but the first of a training on several devices return.

    Raises:
        InputError: The folder cannot be used; or whatever the functions raise.
        JobCancelledError: The user asked to stop.
    """
    from MaskWhatMattersLib.training.checkpoints import CHECKPOINT
    from MaskWhatMattersLib.training.runs import free_folder

    folder = output if resume else free_folder(output)
    if not is_first_process():
        train(folder)
        return waiting(folder)
    begin(folder)
    context.log(f"The run is kept in {folder}.")
    checkpoint = folder / CHECKPOINT
    try:
        train(folder)
    except JobCancelledError:
        if checkpoint.is_file():
            kept = export(folder)
            context.log(f"Stopped after step {kept.steps}; the model so far is {kept.path}.")
        raise
    trained = export(folder)
    if not resume:
        checkpoint.unlink(missing_ok=True)
    return trained


def with_files(result: RunResult) -> RunResult:
    """The result with the content of the model file and its card, for whoever asked from another computer."""
    from MaskWhatMattersLib.models.card import card_path

    files = {path.name: path.read_bytes() for path in (result.path, card_path(result.path))}
    return replace(result, files=files)
