"""One training on the scans of a site: from nodes and files to curves in the scene and a model in the lists."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import qt
import slicer
from slicer.i18n import tr as _

from MaskWhatMattersLib.bridge.adapt_cases import Pair, case_names, name_of, validation_count, write_case
from MaskWhatMattersLib.bridge.jobs import JobMonitor
from MaskWhatMattersLib.bridge.training_plots import TrainingPlots
from MaskWhatMattersLib.datasets.cases import CornCases, TrainingCase
from MaskWhatMattersLib.errors import InputError, JobCancelledError, JobError
from MaskWhatMattersLib.training.points import parse_point

if TYPE_CHECKING:
    from MaskWhatMattersLib.jobs.events import Event

MODEL_FILE, CHECKPOINT = "model.safetensors", "checkpoint.ckpt"  # as the training job calls them


@dataclass(frozen=True)
class AdaptCases:
    """Scans of a training, as nodes or files.

    Attributes:
        labelled: Pairs; the last ones measure the result from four pairs on.
        unlabelled: Node IDs or paths.
    """

    labelled: tuple[Pair, ...]
    unlabelled: tuple[str, ...]


class CornAdaptRun:
    """A running or finished training.

    Scans of the scene are written to temporary files first, one by one between events, so that neither the GUI waits
    nor all of them lie in memory at once; files are read by the worker. Cancelling keeps the last step as a model.

    Attributes:
        state: "running", "cancelling", "done", "failed" or "cancelled".
        error: Why it failed; None while it runs and when it went well.
        name: Name of the model.
        model: Path of the model file; None as long as there is none.
        steps: Steps done, as far as the curves tell.
        loss: Last training loss; None before the first point.
        dice: Last mean Dice over the held-out scans; None without them.
        plots: The curves in the scene.
    """

    def __init__(
        self,
        runner: Any,
        cases: AdaptCases,
        output: Path,
        settings: dict[str, Any],
        *,
        on_event: Callable[[Any], None] = lambda event: None,
        on_tick: Callable[[float], None] = lambda seconds: None,
        on_end: Callable[[CornAdaptRun], None] = lambda run: None,
    ) -> None:
        """Begin with the first scan and return.

        Args:
            runner: Runs the job.
            cases: Checked already.
            output: Folder of the model, which does not exist yet.
            settings: What `CornTrainSpec` takes, beside scans and output.
            on_event: Called with each event.
            on_tick: Called with the seconds since the start.
            on_end: Called with this run when it has ended.
        """
        self.state = "running"
        self.error: Exception | None = None
        self.name, self.steps = output.name, 0
        self.model: Path | None = None
        self.loss: float | None = None
        self.dice: float | None = None
        self.plots = TrainingPlots(slicer.mrmlScene)
        self._runner, self._cases, self._output, self._settings = runner, cases, output, settings
        self._on_event, self._on_tick, self._on_end = on_event, on_tick, on_end
        self._started = time.monotonic()
        self._monitor: JobMonitor | None = None
        self._folder = Path(tempfile.mkdtemp(prefix="adapt-", dir=slicer.app.temporaryPath))
        self._scene = slicer.mrmlScene
        self._observer = self._scene.AddObserver(self._scene.StartCloseEvent, lambda *_: self.cancel())
        self._written: list[TrainingCase] = []
        self._sources: list[tuple[str, Pair | None]] = [(pair.image, pair) for pair in cases.labelled]
        self._sources += [(source, None) for source in cases.unlabelled]
        self._names = case_names(self._scene, [source for source, _pair in self._sources])
        self._timer = qt.QTimer()
        self._timer.setInterval(0)
        self._timer.connect("timeout()", self._write_next)
        self._timer.start()

    @property
    def done(self) -> bool:
        """Whether it has ended, well or not."""
        return self.state not in ("running", "cancelling")

    def cancel(self) -> None:
        """Ask the training to stop; what it learned so far becomes the model."""
        if self.state != "running":
            return
        self.state = "cancelling"
        if self._monitor is not None:
            self._monitor.cancel()
        else:
            self._end("cancelled")

    def result(self) -> str:
        """Keep the application alive until the end and return the name of the model.

        Raises:
            InputError: Something that the user gave cannot be used.
            JobError: The job failed.
            JobCancelledError: It was cancelled before there was anything to keep.
        """
        while not self.done:
            slicer.app.processEvents()
            if self._monitor is not None:
                self._monitor.drain()
            time.sleep(0.01)
        if self.error is not None:
            raise self.error
        if self.model is None:
            raise JobCancelledError("The training was cancelled before its first step, so there is no model.")
        return self.name

    # Scans of the scene become files

    def _write_next(self) -> None:
        if self.state != "running":
            return
        index = len(self._written)
        if index == len(self._sources):
            self._timer.stop()
            self._submit()
            return
        source, pair = self._sources[index]
        self._tell(_("Reading the scans of the scene"), index, len(self._sources))
        try:
            self._written.append(write_case(self._scene, source, pair, self._folder, self._names[index]))
        except (InputError, JobError) as error:
            self._fail(InputError(f"{name_of(self._scene, source)}: {error}"))
        except Exception as error:  # a run must not stay in the state "running"
            self._fail(error)

    def _submit(self) -> None:
        from MaskWhatMattersLib.jobs.corn_train_job import CornTrainSpec

        pairs = len(self._cases.labelled)
        learned = pairs - validation_count(pairs)
        cases = CornCases(
            labelled=tuple(self._written[:learned]),
            unlabelled=tuple(self._written[pairs:]),
            validation=tuple(self._written[learned:pairs]),
        )
        try:
            spec = CornTrainSpec(output=self._output, resume=False, **self._settings)
            self._watch(self._runner.submit(spec, cases))
        except (InputError, JobError) as error:
            self._fail(error)

    def _watch(self, job: Any) -> None:
        self._monitor = JobMonitor(
            job,
            on_finished=self._finish,
            on_failed=self._fail,
            on_cancelled=lambda: self._keep("cancelled"),
            on_event=self._take_event,
            on_tick=self._tick,
        )

    # What the job says

    def _take_event(self, event: Event) -> None:
        point = parse_point(event.message) if event.kind == "log" else None
        if point is None:
            self._on_event(event)
            return
        self.steps, values = point
        # Some methods have a loss of the name "dice"; only validation gives that of both branches.
        dice = values.get("dice") if "dice_auxiliary" in values else None
        self.dice = self.dice if dice is None else dice
        self.loss = values.get("loss", self.loss)
        self.plots.add(self.steps, loss=values.get("loss"), score=dice)
        self._on_event(replace(event, message=point_text(self.steps, values.get("loss"), dice)))

    def _tick(self, _seconds: float) -> None:
        self.plots.update()
        self._on_tick(time.monotonic() - self._started)

    def _tell(self, stage: str, step: int, total: int) -> None:
        elapsed = time.monotonic() - self._started
        from MaskWhatMattersLib.jobs.events import Event  # needs pydantic, which is not there when the panel opens

        self._on_event(Event("progress", stage=stage, step=step, total=total, elapsed_s=elapsed))
        self._on_tick(elapsed)

    # The end

    def _finish(self, trained: Any) -> None:
        self.steps = trained.steps
        self.dice = trained.validation_dice if trained.validation_dice is not None else self.dice
        self._end("done")

    def _fail(self, error: Exception) -> None:
        self.error = error
        self._keep("failed")

    def _keep(self, state: str) -> None:
        """End in a state with what there is: where the job was stopped hard, its last checkpoint becomes the model."""
        if (self._output / MODEL_FILE).is_file() or not (self._output / CHECKPOINT).is_file():
            self._end(state)
            return
        from MaskWhatMattersLib.jobs.corn_train_job import CornExportSpec

        try:
            self._monitor = JobMonitor(
                self._runner.submit(CornExportSpec(output=self._output)),
                on_finished=lambda trained: self._take_kept(trained, state),
                on_failed=lambda error: self._end(state),
                on_cancelled=lambda: self._end(state),
                on_event=self._on_event,
                on_tick=self._tick,
            )
        except JobError:  # Slicer is closing
            self._end(state)

    def _take_kept(self, trained: Any, state: str) -> None:
        self.steps = trained.steps
        self._end(state)

    def _end(self, state: str) -> None:
        self._timer.stop()
        self._scene.RemoveObserver(self._observer)
        shutil.rmtree(self._folder, ignore_errors=True)
        file = self._output / MODEL_FILE
        self.model = file if file.is_file() else None
        if self.model is None and not (self._output / CHECKPOINT).is_file():
            shutil.rmtree(self._output, ignore_errors=True)
            self.plots.remove()
        else:
            self.plots.update()
        self.state = state
        self._on_end(self)


def point_text(step: int, loss: float | None, dice: float | None) -> str:
    """A point of the curves in words."""
    parts = [] if loss is None else [_("loss {loss:.3f}").format(loss=loss)]
    parts += [] if dice is None else [_("validation Dice {dice:.3f}").format(dice=dice)]
    return str(_("Step {step}: {values}").format(step=step, values=", ".join(parts)))
