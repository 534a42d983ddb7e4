"""What a training would need, before it starts: one measured step, and the line of a panel that shows it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt
from slicer.i18n import tr as _

from MaskWhatMattersLib.bridge.jobs import JobMonitor, unfinished_trainings
from MaskWhatMattersLib.bridge.widgets import describe_failure
from MaskWhatMattersLib.errors import InputError, JobCancelledError, JobError

_DELAY_MS = 1500  # so long nothing changes before a step is measured unasked


class EstimateRun:
    """A running or finished estimate.

    Attributes:
        state: "running", "done", "failed" or "cancelled".
        estimate: A `ResourceEstimate`; None until it is there.
        error: Why there is none.
    """

    def __init__(
        self,
        runner: Any,
        spec: Any,
        on_end: Callable[[EstimateRun], None] | None = None,
        *,
        data: tuple[Any, ...] = (),
    ) -> None:
        """Begin and return.

        Args:
            runner: Runs the job.
            spec: The job.
            on_end: Called with this run when it has ended.
            data: Of the job.

        Raises:
            InputError: The address of the runner cannot be used.
            JobError: There is no worker.
        """
        self.state = "running"
        self.estimate: Any = None
        self.error: Exception | None = None
        self._on_end = on_end
        self._monitor = JobMonitor(
            runner.submit(spec, *data),
            on_finished=self._finish,
            on_failed=self._fail,
            on_cancelled=lambda: self._end("cancelled"),
        )

    @property
    def done(self) -> bool:
        """Whether it has ended, well or not."""
        return self.state != "running"

    def cancel(self) -> None:
        """Give up; the step that is being measured is finished first."""
        if not self.done:
            self._monitor.cancel()

    def result(self) -> Any:
        """Keep the application alive until the end and return the estimate.

        Raises:
            InputError: Settings that cannot be used.
            JobError: It could not be measured.
            JobCancelledError: It was cancelled.
        """
        self._monitor.wait()
        if self.error is not None:
            raise self.error
        if self.estimate is None:
            raise JobCancelledError("The estimate was cancelled.")
        return self.estimate

    def _finish(self, estimate: Any) -> None:
        self.estimate = estimate
        self._end("done")

    def _fail(self, error: Exception) -> None:
        self.error = error
        self._end("failed")

    def _end(self, state: str) -> None:
        self.state = state
        if self._on_end is not None:
            self._on_end(self)


class EstimateLine:
    """Uses estimateLabel and estimateButton of a panel.

    The estimate is forgotten when the settings that it was made for change. Where it is cheap, it is made unasked.

    Args:
        ui: Widgets by name.
        start: Starts an estimate for the present settings and calls back at its end; gives the run.
    """

    def __init__(self, ui: Any, start: Callable[[Callable[[EstimateRun], None]], EstimateRun]) -> None:
        self._ui, self._start = ui, start
        self._run: EstimateRun | None = None
        self._settings: Any = None
        self._timer = qt.QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(_DELAY_MS)
        self._timer.connect("timeout()", self._on_timer)
        self.is_eager = True
        """Whether an estimate may be made unasked."""
        ui.estimateButton.connect("clicked()", self.measure)

    @property
    def is_measuring(self) -> bool:
        """Whether an estimate is being made."""
        return self._run is not None

    def follow(self, settings: Any, *, blocker: str, is_cheap: bool) -> None:
        """Keep the estimate only as long as the settings stay.

        Args:
            settings: Whatever it depends on; compared.
            blocker: Why there can be none now; empty when there can.
            is_cheap: Whether it may be made unasked.
        """
        button = self._ui.estimateButton
        button.enabled = not blocker
        button.toolTip = blocker or _(
            "Measure one step with made-up images: how long the training takes, and how much memory"
        )
        if settings != self._settings:
            self._settings = settings
            self.stop()
            self._show("")
        if blocker or not (is_cheap and self.is_eager):
            self._timer.stop()
        elif not self._ui.estimateLabel.text:
            self._timer.start()

    def measure(self) -> None:
        """Make an estimate now; not beside a training, which wants processor and memory for itself."""
        self.stop()
        if unfinished_trainings():
            self._show(str(_("No estimate while a training runs.")))
            return
        self._show(str(_("Estimate: measuring one step...")))
        try:
            self._run = self._start(self._on_end)
        except (InputError, JobError) as error:
            self._show_failure(error)

    def stop(self) -> None:
        """Give up an estimate that is being made, as before the training starts."""
        self._timer.stop()
        run, self._run = self._run, None
        if run is not None:
            run.cancel()
            self._show("")

    def _on_timer(self) -> None:
        if unfinished_trainings():
            self._timer.start()  # asks again
        else:
            self.measure()

    def _on_end(self, run: EstimateRun) -> None:
        if run is not self._run:
            return
        self._run = None
        if run.estimate is not None:
            self._show_estimate(run.estimate)
        elif run.error is not None:
            self._show_failure(run.error)
        else:
            self._show("")

    def _show_estimate(self, estimate: Any) -> None:
        text = str(_("Estimate: {words}.")).format(words=estimate.words())
        if not estimate.fits:
            text += " " + str(_("That is more than is free: the training will take smaller portions, and longer."))
        self._show(text)

    def _show_failure(self, error: Exception) -> None:
        failure = describe_failure(error)
        self._show(str(_("No estimate: {what} {advice}")).format(what=failure.what, advice=failure.advice).strip())

    def _show(self, text: str) -> None:
        self._ui.estimateLabel.text = text
