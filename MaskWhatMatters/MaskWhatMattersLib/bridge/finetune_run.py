"""One finetuning from the panel or the console: labelled scans in, curves in the scene and a model in the lists."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import slicer
from slicer.i18n import tr as _

from MaskWhatMattersLib.bridge.adapt_cases import Pair
from MaskWhatMattersLib.bridge.finetune_cases import class_names, held_out, scene_case
from MaskWhatMattersLib.bridge.nodes import nameless
from MaskWhatMattersLib.bridge.training_plots import TrainingPlots
from MaskWhatMattersLib.bridge.training_run import MODEL_FILE, TrainingRun
from MaskWhatMattersLib.datasets.image_cases import ImageCase, ImageCases, Split
from MaskWhatMattersLib.errors import ModelFileError
from MaskWhatMattersLib.volumes import read_volume

if TYPE_CHECKING:
    from MaskWhatMattersLib.jobs.spec import JobSpec

TITLE = "Finetuning"

_SCORES = {
    "dice": "Dice",
    "accuracy": "accuracy",
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "f1": "F1",
    "box_ap": "BoxAP",
    "box_ap50": "BoxAP50",
    "mask_ap": "MaskAP",
    "mask_ap50": "MaskAP50",
}
_FIRST = {"segmentation": "dice", "classification": "accuracy", "detection": "box_ap"}
_VALIDATION, _TEST = "val_", "test_"


@dataclass(frozen=True)
class FinetuneScans:
    """What a finetuning learns from: pairs of the scene, or a folder.

    Attributes:
        pairs: Scans with their labels; empty for a folder.
        folder: Folder or manifest; None for pairs.
        validation: Share of the patients that measures the result.
    """

    pairs: tuple[Pair, ...]
    folder: Path | None
    validation: float


class FinetuneRun(TrainingRun):
    """A running or finished finetuning; cancelling keeps the last step as a model.

    Attributes:
        task: "segmentation", "classification" or "detection".
        scores: Of the finished model by name, on validation.
        test_scores: The same on the test split, where there is one.
    """

    def __init__(
        self,
        runner: Any,
        task: str,
        scans: FinetuneScans,
        output: Path,
        settings: dict[str, Any],
        *,
        start_files: Mapping[str, bytes] | None = None,
        **callbacks: Any,
    ) -> None:
        """Begin with the first scan and return.

        Args:
            runner: Runs the job.
            task: What is learned.
            scans: Checked already.
            output: Folder of the model on this computer.
            settings: What `FinetuneSpec` takes, beside task, scans and output.
            start_files: Start model and card by file name, for a worker on another computer.
            callbacks: See `TrainingRun`; `origin`, too.
        """
        self.task, self._scans, self._settings, self._start_files = task, scans, settings, start_files
        self.scores: dict[str, float] = {}
        self.test_scores: dict[str, float] = {}
        self._classes = class_names(slicer.mrmlScene, scans.pairs)
        self._held_out = held_out(slicer.mrmlScene, scans.pairs, scans.validation)
        self._cases: list[ImageCase] = []
        self._case_notes: list[str] = []
        plots = TrainingPlots(slicer.mrmlScene, TITLE, score_title(task))
        super().__init__(runner, output, [pair.image for pair in scans.pairs], plots, **callbacks)

    def prepare(self, index: int, name: str) -> None:
        """Write a scan with its label map, or keep both as voxels."""
        split: Split = "val" if index in self._held_out else "train"
        made = scene_case(
            self.scene, self._scans.pairs[index], self._classes, self.file_name(index), split, self.folder
        )
        case = replace(made.case, name=name)
        self._cases.append(self._nameless(case) if self.remote else case)
        self._case_notes += [made.note] if made.note else []

    def _nameless(self, case: ImageCase) -> ImageCase:
        """A case as another computer gets it: voxels, even of files, and nothing that says whose they are."""
        image, label_map = (
            nameless(read_volume(one) if isinstance(one, Path) else one) if one is not None else None
            for one in (case.image, case.label_map)
        )
        assert image is not None
        return replace(case, image=image, label_map=label_map, patient=self.origin.pseudonym(case.patient))

    def submission(self) -> tuple[JobSpec, tuple[Any, ...]]:
        """The finetuning with all scans."""
        from MaskWhatMattersLib.jobs.finetune_job import FinetuneSpec

        spec = FinetuneSpec(
            output=self.worker_output,
            resume=False,
            task=self.task,
            data=self._scans.folder,
            validation=self._scans.validation,
            send_back=self.remote,
            **self._settings,
        )
        names = dict(enumerate(self._classes, start=1))
        notes = () if self.remote else tuple(self._case_notes)  # they name scans
        cases = ImageCases(tuple(self._cases), notes, names)
        return spec, (cases if self._scans.folder is None else None, self._start_files)

    def keeping(self) -> JobSpec | None:
        """A model of the last checkpoint."""
        from MaskWhatMattersLib.jobs.finetune_job import FinetuneExportSpec

        return FinetuneExportSpec(output=self.worker_output, send_back=self.remote)

    def score(self, values: Mapping[str, float]) -> float | None:
        """The task's measure on validation, where it was taken and could be."""
        value = values.get(_VALIDATION + _FIRST[self.task], math.nan)
        return None if math.isnan(value) else value

    @property
    def last(self) -> tuple[float | None, float | None]:
        """Last training loss and last measure on validation; None where there was none yet."""
        return self.values.get("loss"), self.score(self.values)

    def take_result(self, result: Any) -> None:
        """The measures of the step that was kept."""
        self.notes = (*self._case_notes, *self.notes) if self.remote else self.notes
        numbers = {name: value for name, value in result.metrics.items() if name != "loss" and not math.isnan(value)}
        of_test = {name.removeprefix(_TEST): value for name, value in numbers.items() if name.startswith(_TEST)}
        of_validation = {name: value for name, value in numbers.items() if not name.startswith((_TEST, _VALIDATION))}
        names = _label_names(self.output / MODEL_FILE)
        self.scores, self.test_scores = (_by_label(scores, names) for scores in (of_validation, of_test))


def score_title(task: str) -> str:
    """What the curve of a task's measure is called."""
    return str(_("Validation {score}")).format(score=_SCORES[_FIRST[task]])


def scores_text(scores: Mapping[str, float], shown: int = 6) -> str:
    """Measures as a person lists them, those of the whole before those of single labels."""
    order = [name for name in _SCORES if name in scores] + [name for name in scores if name not in _SCORES]
    listed = [f"{_SCORES.get(name, name)} {scores[name]:.3f}" for name in order[:shown]]
    return ", ".join(listed + ["..."] * (len(order) > shown))


def _by_label(scores: Mapping[str, float], names: Mapping[int, str]) -> dict[str, float]:
    """Measures whose names end with a label's value, such as dice_2, by the label's name; a single one says nothing."""
    found: dict[str, float] = {}
    for name, value in scores.items():
        measure, _line, label = name.rpartition("_")
        if measure not in _SCORES or not label.isdigit():
            found[name] = value
        elif len(names) > 1:
            found[f"{_SCORES[measure]} {names.get(int(label), label)}"] = value
    return found


def _label_names(model: Path) -> dict[int, str]:
    """Names of the labels in a model's card; empty where it cannot be read."""
    from MaskWhatMattersLib.models import read_card

    try:
        return {label.value: label.name for label in read_card(model).labels}
    except ModelFileError:
        return {}
