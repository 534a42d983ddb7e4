"""What every training from a panel has in common: scans made ready, the job watched, its model kept on cancel."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import qt
import slicer
from slicer.i18n import tr as _

from MaskWhatMattersLib.bridge.adapt_cases import case_names, is_node, name_of, require_node
from MaskWhatMattersLib.bridge.jobs import JobMonitor, close_runners
from MaskWhatMattersLib.bridge.nodes import nameless, volume_from_node
from MaskWhatMattersLib.bridge.paused_runs import NOTE, SCAN, RunOrigin, forget_pause, note_pause
from MaskWhatMattersLib.bridge.training_plots import TrainingPlots
from MaskWhatMattersLib.errors import InputError, JobCancelledError, JobError
from MaskWhatMattersLib.training.points import parse_picture, parse_point
from MaskWhatMattersLib.volumes import read_volume, write_volume

if TYPE_CHECKING:
    from MaskWhatMattersLib.jobs.events import Event
    from MaskWhatMattersLib.jobs.spec import JobSpec

MODEL_FILE, CHECKPOINT = "model.safetensors", "checkpoint.ckpt"  # as the training jobs call them


class TrainingRun:
    """A running or finished training; a subclass says what is trained on, by which job, and what its points mean.

    Scans are made ready one by one between events, so that the GUI does not wait: those of the scene are written to
    temporary files, or kept as voxels where the worker is on another computer (`folder` is None then). That one gets no
    name of a scan or a patient, and what it says is put back into names here. Cancelling keeps the last step as a
    model; `pause` keeps the checkpoint as well, to go on from.

    Attributes:
        state: "running", "cancelling", "done", "failed", "cancelled" or "paused".
        error: Why it failed; None while it runs and when it went well.
        name: Name of the model.
        output: Folder of the model on this computer.
        model: Path of the file that the run makes, of most the model; None as long as there is none.
        steps: Steps done, as far as is known.
        values: Last value of each name in the log's points.
        picture: Step and PNG of the last picture in the log; None without one.
        can_go_on: Whether it ended with a checkpoint to go on from.
        notes: What the job's result tells the person, one sentence each.
        plots: The curves in the scene.
        origin: Where it is computed.
    """

    can_be_paused: ClassVar[bool] = False
    """Whether something can go on from the checkpoint of a run that was paused or failed."""

    result_pattern: ClassVar[str] = MODEL_FILE
    """What the file is called that a finished run leaves; a pattern where its name is known only then."""

    def __init__(
        self,
        runner: Any,
        output: Path,
        sources: Sequence[str],
        plots: TrainingPlots,
        *,
        origin: RunOrigin | None = None,
        resumed: bool = False,
        on_event: Callable[[Any], None] = lambda event: None,
        on_tick: Callable[[float], None] = lambda seconds: None,
        on_end: Callable[[Any], None] = lambda run: None,
    ) -> None:
        """Begin with the first scan and return.

        Args:
            runner: Runs the job.
            output: Folder of the model on this computer.
            sources: Node IDs and paths of the scans, in the order in which `prepare` gets them.
            plots: Gets the points.
            origin: Where it is computed; with a scheduler, the worker gets voxels and sends the model back. None: here.
            resumed: It goes on from a checkpoint.
            on_event: Called with each event; points of the curves come as readable log lines.
            on_tick: Called with the seconds since the start.
            on_end: Called with this run when it has ended.
        """
        self.state = "running"
        self.error: Exception | None = None
        self.name, self.output, self.steps = output.name, output, 0
        self.model: Path | None = None
        self.values: dict[str, float] = {}
        self.picture: tuple[int, bytes] | None = None
        self.can_go_on = False
        self.notes: tuple[str, ...] = ()
        self.origin = origin or RunOrigin.new("")
        self.plots, self.remote = plots, bool(self.origin.scheduler)
        self._runner, self._sources = runner, list(sources)
        self._on_event, self._on_tick, self._on_end = on_event, on_tick, on_end
        self._started = time.monotonic()
        self._monitor: JobMonitor | None = None
        self._is_pausing = False
        self._resumed = resumed
        self.folder = None if self.remote else Path(tempfile.mkdtemp(prefix="training-", dir=slicer.app.temporaryPath))
        """Temporary folder for scans of the scene; None where voxels are sent."""
        self._at_exit = partial(clean_up, self.folder, output, self.result_pattern)
        atexit.register(self._at_exit)
        self.scene = slicer.mrmlScene
        self._observer = self.scene.AddObserver(self.scene.StartCloseEvent, lambda *_: self.cancel())
        names = case_names(self.scene, self._sources)
        self._names = [self.origin.pseudonym(name) for name in names] if self.remote else names
        self._meaning = dict(zip(self._names, names, strict=True)) if self.remote else {}
        self._ready = 0
        self._timer = qt.QTimer()
        self._timer.setInterval(0)
        self._timer.connect("timeout()", self._prepare_next)
        self._timer.start()

    @property
    def worker_output(self) -> Path:
        """Folder of the model where the job runs; on another computer, in the folder that its worker runs in."""
        return Path("whatmatters-runs") / self.origin.folder / self.name if self.remote else self.output

    # What a subclass says

    def prepare(self, index: int, name: str) -> None:
        """Make one scan ready, in files of `folder` that are called `file_name(index)`, or as voxels.

        Args:
            index: Of the source.
            name: Of the case, unique; a pseudonym where voxels are sent.
        """
        raise NotImplementedError

    @staticmethod
    def file_name(index: int) -> str:
        """What files of a scan are called, without a suffix: nobody shall find a patient's name among the files."""
        return f"{SCAN}-{index + 1:04d}"

    def submission(self) -> tuple[JobSpec, tuple[Any, ...]]:
        """The job and its data; called when all scans are ready."""
        raise NotImplementedError

    def keeping(self) -> JobSpec | None:
        """The job that makes a model of the last checkpoint; None where there is no such job."""
        return None

    def score(self, values: Mapping[str, float]) -> float | None:
        """What the second curve shows of a point; None where it was not measured."""
        return None

    def baseline(self, values: Mapping[str, float]) -> float | None:
        """What a third curve shows of a point, if there is one; None where it was not measured."""
        return None

    def point_text(self, step: int, values: Mapping[str, float]) -> str:
        """A point in words, for the log."""
        return point_text(step, values.get("loss"), self.score(values), self.plots.score_name)

    def take_result(self, result: Any) -> None:
        """Read what the job returned, beyond `steps`, `notes` and the model."""

    # What the panel and the console do

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

    def pause(self) -> None:
        """As `cancel`, and keep the checkpoint to go on from."""
        self._is_pausing = True
        self.cancel()

    def abandon(self) -> None:
        """As `cancel`, and tell nobody any more, as when the panel that listens is destroyed."""
        self._on_event = self._on_tick = self._on_end = lambda _: None
        self.cancel()

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

    # Scans become files or voxels

    def _prepare_next(self) -> None:
        if self.state != "running":
            return
        index = self._ready
        if index == len(self._sources):
            self._timer.stop()
            self._submit()
            return
        self._tell(_("Reading the scans"), index, len(self._sources))
        try:
            self.prepare(index, self._names[index])
            self._ready += 1
        except (InputError, JobError) as error:
            self._fail(InputError(f"{name_of(self.scene, self._sources[index])}: {error}"))
        except Exception as error:  # a run must not stay in the state "running"
            self._fail(error)

    def _submit(self) -> None:
        try:
            spec, data = self.submission()
            self._watch(self._runner.submit(spec, *data))
        except (InputError, JobError) as error:
            self._fail(error)
        except Exception as error:  # a run must not stay in the state "running"
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
        if event.kind != "log":
            self._pass_on(event)
            return
        if (picture := parse_picture(event.message)) is not None:
            self.picture = picture
            return
        point = parse_point(event.message)
        if point is None:
            self._pass_on(event)
            return
        self.steps, values = point
        self.values |= values
        self.plots.add(self.steps, loss=values.get("loss"), score=self.score(values), baseline=self.baseline(values))
        self._on_event(replace(event, message=self.point_text(self.steps, values)))

    def _pass_on(self, event: Event) -> None:
        self._on_event(replace(event, message=self._named(event.message)) if self._meaning else event)

    def _named(self, text: str) -> str:
        """What a worker elsewhere said, with the names of the scans."""
        for pseudonym, name in self._meaning.items():
            text = text.replace(pseudonym, name)
        return text

    def _tick(self, _seconds: float) -> None:
        self.plots.update()
        self._on_tick(time.monotonic() - self._started)

    def _tell(self, stage: str, step: int, total: int) -> None:
        elapsed = time.monotonic() - self._started
        from MaskWhatMattersLib.jobs.events import Event  # needs pydantic, which is not there when the panel opens

        self._on_event(Event("progress", stage=stage, step=step, total=total, elapsed_s=elapsed))
        self._on_tick(elapsed)

    # The end

    def _finish(self, result: Any) -> None:
        self._take_result(result)
        self._discard_and_end("done")

    def _take_result(self, result: Any) -> None:
        self.steps = result.steps
        self.notes = tuple(map(self._named, getattr(result, "notes", ())))
        self.values |= getattr(result, "metrics", {})
        _save_files(getattr(result, "files", {}), self.output)
        self.take_result(result)

    def _fail(self, error: Exception) -> None:
        error.args = tuple(self._named(part) if isinstance(part, str) else part for part in error.args)
        self.error = error
        self._keep("failed")

    def _keep(self, state: str) -> None:
        """End in a state with what there is: where the job was stopped hard, its last checkpoint becomes the model."""
        spec = self.keeping() if self._is_ahead_of_model() else None
        if spec is None and state == "cancelled" and self._monitor is not None:
            self._discard_and_end(state)
            return
        if spec is None:
            self._end(state)
            return
        try:
            self._monitor = JobMonitor(
                self._runner.submit(spec),
                on_finished=lambda result: self._take_kept(result, state),
                on_failed=lambda error: self._end(state),
                on_cancelled=lambda: self._end(state),
                on_event=self._pass_on,
                on_tick=self._tick,
            )
        except JobError:  # Slicer is closing
            self._end(state)

    def _stays(self, state: str) -> bool:
        """Whether the checkpoint stays, since it can be gone on from."""
        return self.can_be_paused and (state == "failed" or (state == "cancelled" and self._is_pausing))

    def _discard_and_end(self, state: str) -> None:
        """End in a state; what lies on another computer is removed first, where nobody needs it any more."""
        if not self.remote or self._stays(state):
            self._end(state)
            return
        from MaskWhatMattersLib.jobs.training_run import DiscardSpec

        try:
            self._monitor = JobMonitor(
                self._runner.submit(DiscardSpec(output=self.worker_output)),
                on_finished=lambda _result: self._end(state),
                on_failed=lambda error: self._end(state),
                on_cancelled=lambda: self._end(state),
            )
        except JobError:  # Slicer is closing
            self._end(state)

    def _is_ahead_of_model(self) -> bool:
        """Whether there is a checkpoint that no model was made of yet."""
        if self.remote:
            return self.steps > 0 or self._resumed
        file, checkpoint = result_file(self.output, self.result_pattern), self.output / CHECKPOINT
        if file is None or not checkpoint.is_file():
            return checkpoint.is_file()
        return file.stat().st_mtime < checkpoint.stat().st_mtime

    def _take_kept(self, result: Any, state: str) -> None:
        self._take_result(result)
        self._discard_and_end(state)

    def _end(self, state: str) -> None:
        self._timer.stop()
        self.scene.RemoveObserver(self._observer)
        atexit.unregister(self._at_exit)
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
        checkpoint = self.output / CHECKPOINT
        self.model = result_file(self.output, self.result_pattern)
        has_begun = checkpoint.is_file() or (self.remote and (self.steps > 0 or self._resumed))
        self.can_go_on = has_begun and self._stays(state)
        if self.can_go_on:
            note_pause(self.output, self.origin)
            state = "paused" if state == "cancelled" else state
        else:
            forget_pause(self.output)
            remove_finished_checkpoint(self.output, self.result_pattern)
        if self.model is None and not has_begun:
            shutil.rmtree(self.output, ignore_errors=True)
            self.plots.remove()
        else:
            self.plots.update()
        self.state = state
        self._on_end(self)


def result_file(output: Path, pattern: str = MODEL_FILE) -> Path | None:
    """The file that a run made; None where there is none, or no longer a folder."""
    return next((path for path in sorted(output.glob(pattern)) if path.is_file()), None)


def remove_finished_checkpoint(output: Path, pattern: str = MODEL_FILE) -> None:
    """Remove a checkpoint that the result was made of; it holds three times the model."""
    file, checkpoint = result_file(output, pattern), output / CHECKPOINT
    if file is not None and checkpoint.is_file() and file.stat().st_mtime >= checkpoint.stat().st_mtime:
        checkpoint.unlink(missing_ok=True)


def clean_up(folder: Path | None, output: Path, pattern: str = MODEL_FILE) -> None:
    """Leave no scans in the temporary folder when Slicer quits during a training, and no checkpoint beside its model.

    Args:
        folder: Temporary one; None without.
        output: Folder of the model; a checkpoint that was paused stays.
        pattern: Of the file that the run makes.
    """
    close_runners()  # which lets a training on this computer finish its model
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)
    if not (output / NOTE).is_file():
        remove_finished_checkpoint(output, pattern)


def point_text(step: int, loss: float | None, score: float | None = None, score_name: str | None = None) -> str:
    """A point of the curves in words."""
    parts = [] if loss is None else [_("loss {loss:.3f}").format(loss=loss)]
    name = score_name or str(_("Score"))
    parts += [] if score is None else [f"{name[:1].lower()}{name[1:]} {score:.3f}"]
    return str(_("Step {step}: {values}").format(step=step, values=", ".join(parts)))


def image_of(scene: Any, source: str, folder: Path | None, name: str) -> Any:
    """One scan as `ImageCase.image` has it: a node as a file in world coordinates, a file as it is; voxels nameless.

    Args:
        scene: Where the nodes are.
        source: Node ID or path.
        folder: Gets the file of a node; None gives voxels instead, of files as well, for a worker elsewhere.
        name: Of the file, unique.

    Returns:
        Path or `Volume`.

    Raises:
        InputError: The node is gone, the scan cannot be used, or the disk is full.
    """
    if not is_node(source):
        return Path(source) if folder is not None else nameless(read_volume(source))
    volume = volume_from_node(require_node(scene, source))
    if folder is None:
        return nameless(volume)
    file = folder / f"{name}.nii"
    write_volume(volume, file)
    return file


def _save_files(files: Mapping[str, bytes], folder: Path) -> None:
    """Write what a worker elsewhere sent, each file aside first, so that no half model is ever found.

    Raises:
        InputError: The folder cannot be written to, or the disk is full.
    """
    try:
        for name, content in sorted(files.items()):  # model.json before model.safetensors: no model without its card
            folder.mkdir(parents=True, exist_ok=True)
            aside = folder / f"{Path(name).name}.part"
            aside.write_bytes(content)
            os.replace(aside, folder / Path(name).name)
    except OSError as error:
        raise InputError(
            f"The model that came back cannot be written to {folder}: {error.strerror or error}. Free some space."
        ) from error
