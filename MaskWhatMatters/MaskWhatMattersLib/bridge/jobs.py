"""Jobs seen from Slicer's main thread: a timer drains events, callbacks tell the panel, closing the scene cancels."""

from __future__ import annotations

import atexit
import logging
import time
from collections.abc import Callable
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from MaskWhatMattersLib.bridge.threads import TICK_MS, let_threads_run
from MaskWhatMattersLib.errors import ConsentRequiredError, InputError, JobCancelledError, JobError

_CLOCK_S = 0.1  # more often the shown time need not change
_TRAINING_CANCEL_S = 180.0  # a step of the whole network on an old processor, and the model written
_ESTIMATE_CANCEL_S = 2.0
_TRAINING = ("training",)
_runners: dict[tuple[str | None, ...], Any] = {}
_closing_is_arranged = False


class JobMonitor:
    """Watches one job from the main thread and calls back, always on the main thread, exactly once at the end.

    Closing the scene cancels the job and drops its result: nodes of a scene that is gone are of no use.

    Args:
        job: Handle from a runner.
        on_finished: Called with the job's result.
        on_failed: Called with the exception; also with an exception that `on_finished` raised.
        on_cancelled: Called without arguments.
        on_event: Called with each event, oldest first.
        on_tick: Called with the seconds since the start, about ten times a second.
    """

    def __init__(
        self,
        job: Any,
        *,
        on_finished: Callable[[Any], None],
        on_failed: Callable[[Exception], None],
        on_cancelled: Callable[[], None],
        on_event: Callable[[Any], None] = lambda event: None,
        on_tick: Callable[[float], None] = lambda seconds: None,
    ) -> None:
        self.job = job
        self.is_over = False
        self._on_finished, self._on_failed, self._on_cancelled = on_finished, on_failed, on_cancelled
        self._on_event, self._on_tick = on_event, on_tick
        self._scene_was_closed = self._is_told_to_wait = False
        self._started = self._clock_shown = time.monotonic()
        scene = slicer.mrmlScene
        self._scene = scene
        self._observer = scene.AddObserver(scene.StartCloseEvent, self._on_scene_closing)
        self._timer = qt.QTimer()
        self._timer.setInterval(TICK_MS)
        self._timer.connect("timeout()", self._on_timer)
        self._timer.start()

    def cancel(self) -> None:
        """Ask the job to stop; `on_cancelled` follows when it has."""
        self.job.cancel()

    def wait(self) -> None:
        """Keep the application alive until the job is over."""
        while not self.is_over:
            slicer.app.processEvents()
            self.drain()
            time.sleep(0.01)

    def drain(self) -> None:
        """Pass on what the job said since the last call; the timer calls it.

        An error in a callback is logged: it must not keep the end from being noticed.
        """
        if self.is_over:
            return
        ended = self.job.done()  # before the events, so that the last ones are not lost
        if not self._scene_was_closed:
            for event in self.job.events():
                self._call(self._on_event, event)
            now = time.monotonic()
            if ended or now - self._clock_shown >= _CLOCK_S:
                self._clock_shown = now
                self._call(self._on_tick, now - self._started)
                self._tell_waiting()
        if ended:
            self._end()

    def _tell_waiting(self) -> None:
        """Say once that a training waits for another one."""
        if self._is_told_to_wait or self.job.state != "queued" or self.job not in unfinished_trainings()[1:]:
            return
        self._is_told_to_wait = True
        from MaskWhatMattersLib.jobs.events import Event  # needs pydantic, which is not there when a panel opens

        self._call(self._on_event, Event("stage", stage=str(_("Waiting for another training to end"))))

    def _on_timer(self) -> None:
        let_threads_run()
        self.drain()

    @staticmethod
    def _call(callback: Callable[[Any], None], value: Any) -> None:
        try:
            callback(value)
        except Exception:
            logging.exception("What a job reported could not be shown.")

    def _end(self) -> None:
        self.is_over = True
        self._timer.stop()
        self._scene.RemoveObserver(self._observer)
        if self._scene_was_closed:
            self._on_cancelled()
            return
        try:
            self._on_finished(self.job.result(0))
        except JobCancelledError:
            self._on_cancelled()
        except Exception as error:
            if not isinstance(error, (InputError, JobError)):
                logging.exception("The result of a job could not be shown.")
            self._on_failed(error)

    def _on_scene_closing(self, caller: Any, event: str) -> None:
        self._scene_was_closed = True
        self.job.cancel()


def runner_for(
    scheduler: str = "", *, consent: bool = False, tls_ca: str = "", tls_cert: str = "", tls_key: str = ""
) -> Any:
    """The runner of this session: one warm worker on this computer, or one connection per scheduler address.

    Args:
        scheduler: Address of a Dask scheduler, for example "tls://gpu-server:8786"; empty for this computer.
        consent: The user agreed that voxels leave this computer.
        tls_ca: Certificate authority file of the scheduler; with `tls_cert` and `tls_key` for a tls:// address.

    Raises:
        ConsentRequiredError: A scheduler without consent.
        InputError: An address that cannot be used.
    """
    if scheduler and not consent:
        raise ConsentRequiredError(
            f"The voxels of the scan would be sent to {scheduler}, and nobody agreed to that. "
            "Agree when the panel asks, or pass consent=True."
        )
    from MaskWhatMattersLib.jobs import LocalWorkerRunner, SchedulerRunner

    files = [path or None for path in (tls_ca, tls_cert, tls_key)]
    key = (scheduler, *files) if scheduler else ("",)
    if key not in _runners:
        _arrange_closing()
        if scheduler:
            _runners[key] = SchedulerRunner(
                scheduler, consent_to_send_pixels=True, tls_ca=files[0], tls_cert=files[1], tls_key=files[2]
            )
        else:
            _runners[key] = LocalWorkerRunner()
    return _runners[key]


def warm_up_worker() -> None:
    """Start this computer's worker in the background, so that the first job finds it ready.

    Cheap on the main thread once the setup was looked at, which imports what this needs. The worker ends with this
    process.
    """
    runner_for().warm_up()


def training_runner() -> Any:
    """The runner of this session for trainings: a worker of its own, so that other jobs need not wait for its end.

    A cancelled training may finish its step and write its model, which takes a while on a slow computer.
    """
    from MaskWhatMattersLib.jobs import LocalWorkerRunner

    if _TRAINING not in _runners:
        _arrange_closing()
        _runners[_TRAINING] = LocalWorkerRunner(cancel_timeout_s=_TRAINING_CANCEL_S)
    return _runners[_TRAINING]


def unfinished_trainings() -> list[Any]:
    """Jobs of trainings on this computer that wait or run, of all tabs and modules; the first one runs."""
    runner = _runners.get(_TRAINING)
    return runner.unfinished() if runner is not None else []


def estimate_runner() -> Any:
    """The runner of this session for estimates: a step of a large network must not hold up other jobs.

    A step cannot be interrupted, so an estimate that nobody wants any more is stopped with its worker.
    """
    from MaskWhatMattersLib.jobs import LocalWorkerRunner

    key = ("estimate",)
    if key not in _runners:
        _arrange_closing()
        _runners[key] = LocalWorkerRunner(cancel_timeout_s=_ESTIMATE_CANCEL_S)
    return _runners[key]


def close_estimate_runner() -> None:
    """End the worker for estimates, in the background; the next one starts another."""
    runner = _runners.pop(("estimate",), None)
    if runner is not None:
        runner.close(wait=False)


def close_runners() -> None:
    """Stop the warm worker and the connections; the next job starts a new one."""
    while _runners:
        _, runner = _runners.popitem()
        try:
            runner.close()
        except Exception:  # at exit: the other runners must be closed as well
            logging.exception("A worker could not be closed.")


def _arrange_closing() -> None:
    global _closing_is_arranged
    if not _closing_is_arranged:
        _closing_is_arranged = True
        slicer.app.connect("aboutToQuit()", close_runners)
        atexit.register(close_runners)
