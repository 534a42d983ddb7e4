"""What the three modules share in their panels: the setup strip, and the job bar with Apply, progress, log and failure.

The layout is in each module's .ui file; these classes give life to the widgets there, found by their names.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from MaskWhatMattersLib.bridge.setup import (
    SetupCheck,
    device_name,
    download_size,
    install_packages,
    missing_packages,
)
from MaskWhatMattersLib.bridge.threads import TICK_MS, let_threads_run
from MaskWhatMattersLib.errors import ConsentRequiredError, InputError, JobError
from MaskWhatMattersLib.setup_report import PACKAGES, format_report

_GREEN, _AMBER = "#2e8b57", "#d08700"
_LOG_LINES = 5000


def ask_user(text: str, title: str) -> bool:
    """Ask for consent; the only modal dialog that a panel shows."""
    return bool(slicer.util.confirmOkCancelDisplay(text, windowTitle=title))


@dataclass(frozen=True)
class Failure:
    """A failure as the user reads it: what happened, what to do, and the rest behind a button."""

    what: str
    advice: str
    details: str


def describe_failure(error: Exception) -> Failure:
    """Put an exception into words."""
    if isinstance(error, JobError):
        return Failure(str(error), error.hint, error.details)
    if isinstance(error, InputError):
        what, *advice = re.split(r"(?<=[.!?]) (?=[A-Z\"])", str(error), maxsplit=1)
        return Failure(what, advice[0] if advice else "", "")
    return Failure(
        _("Something unexpected went wrong: {error}").format(error=f"{type(error).__name__}: {error}"),
        _("Press Apply again; if it happens again, please report it with the details."),
        "".join(traceback.format_exception(error)),
    )


def in_words(error: Exception) -> str:
    """An exception in one text: what happened and what to do."""
    failure = describe_failure(error)
    return f"{failure.what} {failure.advice}".strip()


def duration(seconds: float) -> str:
    """Minutes and seconds as 1:05."""
    whole = int(seconds + 0.5)
    return f"{whole // 60}:{whole % 60:02d}"


class SetupStrip:
    """One line that says whether jobs can run, with one button that mends what is missing.

    Uses setupLabel, setupFixButton, setupCheckButton, setupReportFrame, setupReportText and setupCopyButton.

    Args:
        ui: Widgets of the panel.
        required: Import names that the current choice needs.
        on_change: Called when something was installed.
        on_ready: Called when the setup was looked at and nothing is missing.
    """

    def __init__(
        self,
        ui: Any,
        required: Callable[[], Iterable[str]],
        on_change: Callable[[], None],
        on_ready: Callable[[], None] = lambda: None,
    ) -> None:
        self._ui, self._required, self._on_change, self._on_ready = ui, required, on_change, on_ready
        self._check = SetupCheck()
        self._device = ""
        self._timer = qt.QTimer()
        self._timer.setInterval(TICK_MS)
        self._timer.connect("timeout()", self._on_timer)
        self._looked_for: tuple[str, ...] | None = None
        self.missing: list[str] = []
        self.failure = ""
        ui.setupReportFrame.visible = False
        ui.setupFixButton.connect("clicked()", self.install)
        ui.setupCheckButton.connect("toggled(bool)", self._on_check)
        ui.setupCopyButton.connect("clicked()", self._on_copy)

    def start(self) -> None:
        """Look at the setup in the background and show the strip."""
        self._check.start()
        self._timer.start()
        self.refresh()

    def stop(self) -> None:
        """Stop looking."""
        self._timer.stop()

    def forget(self) -> None:
        """Look for the packages anew at the next `refresh`, as after something was installed elsewhere."""
        self._looked_for = None

    def refresh(self) -> None:
        """Show what the current choice lacks; looks only when the choice changed, since each key press comes here."""
        required = tuple(self._required())
        if required != self._looked_for:
            self.missing, self._looked_for = missing_packages(required), required
        ui = self._ui
        ui.setupFixButton.visible = bool(self.missing)
        if self.missing:
            names = ", ".join(PACKAGES.get(name, (name, "", ""))[0] for name in self.missing)
            ui.setupFixButton.text = _("Install missing packages ({size})").format(size=download_size(self.missing))
            ui.setupFixButton.toolTip = names
            self._show(_AMBER, self.failure or _("Not installed yet: {names}").format(names=names))
        else:
            self.failure = ""
            device = self._device
            self._show(_GREEN, _("Ready on {device}").format(device=device) if device else _("Ready"))

    def install(self) -> None:
        """Install what is missing; Slicer asks first."""
        try:
            install_packages(self.missing)
            self.failure = ""
        except (ConsentRequiredError, JobError) as error:
            failure = describe_failure(error)
            self.failure = f"{failure.what} {failure.advice}".strip()
            self._ui.setupLabel.toolTip = failure.details
        self._check.start()
        self._timer.start()
        self.forget()
        self.refresh()
        self._on_change()

    def _show(self, color: str, text: str) -> None:
        self._ui.setupLabel.text = f'<span style="color:{color}">&#9679;</span> {text}'

    def _on_timer(self) -> None:
        let_threads_run()
        items = self._check.report
        if items is None:
            return
        self._timer.stop()
        self.forget()
        self._device = device_name(items)
        self._ui.setupReportText.setPlainText(format_report(items))
        self.refresh()
        if not self.missing:
            self._on_ready()

    def _on_check(self, checked: bool) -> None:
        self._ui.setupReportFrame.visible = checked
        if checked:
            self._ui.setupReportText.setPlainText(_("Looking..."))
            self._check.start()
            self._timer.start()

    def _on_copy(self) -> None:
        slicer.app.clipboard().setText(self._ui.setupReportText.toPlainText())


class JobBar:
    """The Apply button that becomes Cancel, with progress, time, log and failure below it.

    Uses applyButton, progressFrame, progressBar, stageLabel, timeLabel, logFrame, logLineLabel, logButton, logText,
    failureFrame, failureLabel, adviceLabel, detailsButton and detailsText. States: "not ready", "ready", "running",
    "cancelling", "done" and "failed".

    Args:
        ui: Widgets of the panel.
        on_apply: Called when the user wants to start.
        on_cancel: Called when the user wants to stop.
        apply_text: What the button says while nothing runs; "Apply" when None.
        cancel_text: What it says while a job runs, and its tooltip; "Cancel" when None.
    """

    def __init__(
        self,
        ui: Any,
        on_apply: Callable[[], None],
        on_cancel: Callable[[], None],
        apply_text: str | None = None,
        cancel_text: tuple[str, str] | None = None,
    ) -> None:
        self._ui, self._on_apply, self._on_cancel = ui, on_apply, on_cancel
        self._apply_text = apply_text or _("Apply")
        self._cancel_text = cancel_text or (_("Cancel"), _("Stop this job"))
        self._remaining: float | None = None
        self._elapsed = 0.0
        self._blocker = ""
        self.state = "not ready"
        ui.logText.setMaximumBlockCount(_LOG_LINES)
        for frame in (ui.progressFrame, ui.logFrame, ui.logText, ui.failureFrame, ui.detailsText):
            frame.visible = False
        ui.applyButton.connect("clicked()", self.press)
        ui.logButton.connect("toggled(bool)", lambda checked: ui.logText.setVisible(checked))
        ui.detailsButton.connect("toggled(bool)", lambda checked: ui.detailsText.setVisible(checked))

    @property
    def is_busy(self) -> bool:
        """Whether a job runs."""
        return self.state in ("running", "cancelling")

    def press(self) -> None:
        """What a click on the button does: start, or stop."""
        if self.state == "running":
            self._on_cancel()
        elif not self.is_busy and not self._blocker:
            self._on_apply()

    def set_blocker(self, reason: str, ready: str = "") -> None:
        """Say why a job cannot start; empty when it can.

        Args:
            reason: Tooltip of the disabled button.
            ready: Tooltip of the enabled button.
        """
        self._blocker = reason
        if self.is_busy:
            return
        if self.state in ("not ready", "ready"):
            self.state = "not ready" if reason else "ready"
        self._ui.applyButton.enabled = not reason
        self._ui.applyButton.toolTip = reason or ready

    def begin(self) -> None:
        """Show that a job starts."""
        ui = self._ui
        self.state, self._remaining = "running", None
        ui.applyButton.text, ui.applyButton.toolTip = self._cancel_text
        ui.applyButton.enabled = True
        ui.failureFrame.visible = ui.logFrame.visible = False
        ui.logText.setPlainText("")
        ui.logLineLabel.text = ""
        ui.progressFrame.visible = True
        ui.progressBar.setRange(0, 0)
        ui.stageLabel.text = _("Starting...")
        self.show_time(0.0)

    def show_cancelling(self) -> None:
        """Show that a job was asked to stop."""
        self.state = "cancelling"
        self._ui.applyButton.enabled = False
        self._ui.applyButton.text = _("Cancelling...")
        self._ui.applyButton.toolTip = _("The job stops at its next step")
        self._ui.stageLabel.text = _("Cancelling...")

    def show_event(self, event: Any) -> None:
        """Show one event of a job."""
        ui = self._ui
        if event.kind == "log":
            self._log(event.message)
            return
        self._remaining = event.remaining_s
        ui.progressBar.setRange(0, event.total)
        ui.progressBar.value = min(event.step, event.total)
        if self.state == "running" and event.stage:
            steps = f" ({min(event.step + 1, event.total)}/{event.total})" if event.total > 1 else ""
            ui.stageLabel.text = event.stage + steps
        if event.kind == "stage" and event.stage:
            ui.logText.appendPlainText(event.stage)  # the line above shows it already
        elif event.message:
            self._log(event.message)

    def show_note(self, text: str) -> None:
        """Show a sentence in the log."""
        self._log(text)

    def show_time(self, seconds: float) -> None:
        """Show elapsed and remaining time."""
        self._elapsed = seconds
        text = duration(seconds)
        if self._remaining is not None and self.state == "running":
            text = _("{elapsed}, about {remaining} left").format(elapsed=text, remaining=duration(self._remaining))
        self._ui.timeLabel.text = text

    def end(self, state: str, error: Exception | None = None) -> None:
        """Show how a job ended: "done", "failed" or "cancelled"."""
        ui = self._ui
        self.state = "failed" if state == "failed" else "done" if state == "done" else "ready"
        ui.progressFrame.visible = False
        ui.logFrame.visible = bool(ui.logText.toPlainText())
        if state == "done":
            ui.logLineLabel.text = _("Done in {time}").format(time=duration(self._elapsed))
        elif state == "cancelled":
            ui.logLineLabel.text = _("Cancelled after {time}").format(time=duration(self._elapsed))
        ui.applyButton.text = self._apply_text
        if error is not None:
            self.show_failure(describe_failure(error))
        self.set_blocker(self._blocker)

    def show_failure(self, failure: Failure) -> None:
        """Show what happened and what to do."""
        ui = self._ui
        self.state = "failed"
        ui.failureLabel.text, ui.adviceLabel.text = failure.what, failure.advice
        ui.adviceLabel.visible = bool(failure.advice)
        ui.detailsButton.checked = False
        ui.detailsButton.visible = bool(failure.details)
        ui.detailsText.setPlainText(failure.details)
        ui.failureFrame.visible = True

    def clear(self) -> None:
        """Forget the last job, as after the scene was closed."""
        if not self.is_busy:
            self.state = "not ready" if self._blocker else "ready"
        self._ui.failureFrame.visible = self._ui.logFrame.visible = False

    def _log(self, text: str) -> None:
        if text.strip():
            self._ui.logFrame.visible = True
            self._ui.logText.appendPlainText(text)
            self._ui.logLineLabel.text = text.strip().splitlines()[-1]
