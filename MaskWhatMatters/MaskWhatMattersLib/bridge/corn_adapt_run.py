"""One training on the scans of a site: from nodes and files to curves in the scene and a model in the lists."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import slicer

from MaskWhatMattersLib.bridge.adapt_cases import Pair, validation_count, write_case
from MaskWhatMattersLib.bridge.training_plots import TrainingPlots
from MaskWhatMattersLib.bridge.training_run import TrainingRun
from MaskWhatMattersLib.datasets.cases import CornCases, TrainingCase

if TYPE_CHECKING:
    from MaskWhatMattersLib.jobs.spec import JobSpec


@dataclass(frozen=True)
class AdaptCases:
    """Scans of a training, as nodes or files.

    Attributes:
        labelled: Pairs; the last ones measure the result from four pairs on.
        unlabelled: Node IDs or paths.
    """

    labelled: tuple[Pair, ...]
    unlabelled: tuple[str, ...]


class CornAdaptRun(TrainingRun):
    """A running or finished training on this computer; cancelling keeps the last step as a model.

    Attributes:
        loss: Last training loss; None before the first point.
        dice: Last mean Dice over the held-out scans; None without them.
    """

    def __init__(
        self, runner: Any, cases: AdaptCases, output: Path, settings: dict[str, Any], **callbacks: Any
    ) -> None:
        """Begin with the first scan and return.

        Args:
            runner: Runs the job.
            cases: Checked already.
            output: Folder of the model, which does not exist yet.
            settings: What `CornTrainSpec` takes, beside scans and output.
            callbacks: See `TrainingRun`.
        """
        self.dice: float | None = None
        self._cases, self._settings = cases, settings
        self._written: list[TrainingCase] = []
        self._pairs: list[tuple[str, Pair | None]] = [(pair.image, pair) for pair in cases.labelled]
        self._pairs += [(source, None) for source in cases.unlabelled]
        plots = TrainingPlots(slicer.mrmlScene)
        super().__init__(runner, output, [source for source, _pair in self._pairs], plots, **callbacks)

    @property
    def loss(self) -> float | None:
        """Last training loss; None before the first point."""
        return self.values.get("loss")

    def prepare(self, index: int, name: str) -> None:
        """Write a scan with its label."""
        assert self.folder is not None
        source, pair = self._pairs[index]
        case = write_case(self.scene, source, pair, self.folder, self.file_name(index))
        self._written.append(replace(case, name=name))

    def submission(self) -> tuple[JobSpec, tuple[Any, ...]]:
        """The training with all scans."""
        from MaskWhatMattersLib.jobs.corn_train_job import CornTrainSpec

        pairs = len(self._cases.labelled)
        learned = pairs - validation_count(pairs)
        cases = CornCases(
            labelled=tuple(self._written[:learned]),
            unlabelled=tuple(self._written[pairs:]),
            validation=tuple(self._written[learned:pairs]),
        )
        return CornTrainSpec(output=self.output, resume=False, **self._settings), (cases,)

    def keeping(self) -> JobSpec:
        """A model of the last checkpoint."""
        from MaskWhatMattersLib.jobs.corn_train_job import CornExportSpec

        return CornExportSpec(output=self.output)

    def score(self, values: Mapping[str, float]) -> float | None:
        """Dice where it was measured."""
        # Some methods have a loss of the name "dice"; only validation gives that of both branches.
        dice = values.get("dice") if "dice_auxiliary" in values else None
        self.dice = self.dice if dice is None else dice
        return dice

    def take_result(self, result: Any) -> None:
        """The Dice of the step that was kept."""
        self.dice = result.validation_dice if result.validation_dice is not None else self.dice
