"""One tuning from the panel or the console: cases in, curves in the scene and a task file out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import slicer
from slicer.i18n import tr as _

from MaskWhatMattersLib.bridge.adapt_cases import Pair
from MaskWhatMattersLib.bridge.mass_examples import ExampleReader
from MaskWhatMattersLib.bridge.training_plots import TrainingPlots
from MaskWhatMattersLib.bridge.training_run import CHECKPOINT, TrainingRun

if TYPE_CHECKING:
    from MaskWhatMattersLib.jobs.spec import JobSpec
    from MaskWhatMattersLib.mass.example import Example
    from MaskWhatMattersLib.mass.tune_result import TunedTask

TITLE = "Tuning on my cases"
DICE, BASELINE = "Dice", "Dice of a plain network"


class MassTuneRun(TrainingRun):
    """A running or finished tuning on this computer; cancelling keeps what was learned as a task.

    Attributes:
        has_baseline: Whether a plain network learns the same cases, too.
        tuned: What was measured of the task; None as long as there is none.
    """

    result_pattern: ClassVar[str] = "*.task.safetensors"

    def __init__(
        self,
        runner: Any,
        cases: Sequence[Pair],
        segments: Sequence[str] | None,
        output: Path,
        settings: Mapping[str, Any],
        *,
        has_baseline: bool,
        **callbacks: Any,
    ) -> None:
        """Begin with the first case and return.

        Args:
            runner: Runs the job.
            cases: IDs of volumes and of segmentations or label maps, checked already.
            segments: Names of those that are learned; None takes all.
            output: Folder of the task, which does not exist yet.
            settings: What `MassTuneSpec` takes, beside cases and output.
            has_baseline: Whether the job trains a plain network, too.
            callbacks: See `TrainingRun`.

        Raises:
            InputError: Cases that cannot be used; all problems together.
        """
        self.has_baseline = has_baseline
        self.tuned: TunedTask | None = None
        self._cases, self._settings = list(cases), dict(settings)
        self._reader = ExampleReader(slicer.mrmlScene, cases, segments)
        self._examples: list[Example] = []
        plots = TrainingPlots(slicer.mrmlScene, TITLE, DICE, BASELINE if has_baseline else None)
        super().__init__(runner, output, [pair.image for pair in cases], plots, **callbacks)

    def prepare(self, index: int, name: str) -> None:
        """Read a volume with what is marked on it."""
        self._examples.append(self._reader.read(self._cases[index]))

    def submission(self) -> tuple[JobSpec, tuple[Any, ...]]:
        """The tuning with all cases."""
        from MaskWhatMattersLib.jobs.mass_tune_job import MassTuneSpec

        examples, self._examples = tuple(self._examples), []  # the job has them then
        return MassTuneSpec(output=self.output, resume=False, **self._settings), examples

    def keeping(self) -> JobSpec:
        """A task of the last checkpoint, with what was measured of it."""
        from MaskWhatMattersLib.jobs.mass_tune_job import MassTuneExportSpec

        return MassTuneExportSpec(output=self.output)

    def score(self, values: Mapping[str, float]) -> float | None:
        """Dice on the held-out cases, where it was measured."""
        return _number(values.get("dice"))

    def baseline(self, values: Mapping[str, float]) -> float | None:
        """The same of the plain network."""
        return _number(values.get("baseline_dice"))

    def point_text(self, step: int, values: Mapping[str, float]) -> str:
        """A point in words."""
        text, plain = super().point_text(step, values), self.baseline(values)
        return text if plain is None else text + ", " + str(_("plain network {dice:.3f}")).format(dice=plain)

    def take_result(self, result: TunedTask) -> None:
        """What was measured."""
        self.tuned = result

    def result(self) -> str:
        """Keep the application alive until the end and return the path of the task file.

        Raises:
            InputError: Something that the user gave cannot be used.
            JobError: The job failed.
            JobCancelledError: It was cancelled before there was anything to keep.
        """
        super().result()
        return str(self.model)

    def _is_ahead_of_model(self) -> bool:
        """Also where the job made the task of its checkpoint: what it measured comes only with a result."""
        return (self.output / CHECKPOINT).is_file()


def _number(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else value
