"""Jobs of which only the newest matters, such as a preview that follows a slider."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt

from MaskWhatMattersLib.bridge.jobs import JobMonitor
from MaskWhatMattersLib.errors import InputError, JobError

_DELAY_MS = 120

Request = Callable[[], Any]
"""Submits a job and gives its handle; called when its turn has come."""


class LatestJob:
    """Runs one job at a time; of the requests that come meanwhile, the last one wins.

    A job that runs is short and goes on, so that a moving slider sees pictures on its way.

    Args:
        on_result: Called with the result of each job.
        on_error: Called with what went wrong.
        delay_ms: How long after a request its job is submitted, where the request does not say otherwise.
    """

    def __init__(
        self, on_result: Callable[[Any], None], on_error: Callable[[Exception], None], delay_ms: int = _DELAY_MS
    ) -> None:
        self._on_result, self._on_error = on_result, on_error
        self._waiting: Request | None = None
        self._monitor: JobMonitor | None = None
        self._timer = qt.QTimer()
        self._timer.setSingleShot(True)
        self._delay_ms = delay_ms
        self._timer.connect("timeout()", self._submit)

    @property
    def is_busy(self) -> bool:
        """Whether a job runs or waits."""
        return self._monitor is not None or self._waiting is not None

    def ask(self, request: Request, quiet_ms: int = 0) -> None:
        """Ask for a job; an earlier request that did not begin is forgotten.

        Args:
            request: Submits it.
            quiet_ms: Submit it only when so long nothing else was asked for in this way, as while somebody types.
        """
        self._waiting = request
        if quiet_ms:
            self._timer.setInterval(quiet_ms)
            self._timer.start()
        elif self._monitor is None and not self._timer.active:
            self._start_soon()

    def stop(self) -> None:
        """Forget everything; the result of a job that runs is dropped."""
        self._timer.stop()
        self._waiting = None
        monitor, self._monitor = self._monitor, None
        if monitor is not None:
            monitor.cancel()

    def _start_soon(self) -> None:
        self._timer.setInterval(self._delay_ms)
        self._timer.start()

    def _submit(self) -> None:
        if self._monitor is not None:
            return  # its end lets the next one begin
        request, self._waiting = self._waiting, None
        if request is None:
            return
        try:
            job = request()
        except (InputError, JobError) as error:
            self._on_error(error)
            return
        self._monitor = monitor = JobMonitor(
            job,
            on_finished=lambda result: self._end(monitor, lambda: self._on_result(result)),
            on_failed=lambda error: self._end(monitor, lambda: self._on_error(error)),
            on_cancelled=lambda: self._end(monitor, lambda: None),
        )

    def _end(self, monitor: JobMonitor, tell: Callable[[], None]) -> None:
        if monitor is not self._monitor:
            return
        self._monitor = None
        try:
            tell()
        finally:
            if self._waiting is not None and not self._timer.active:
                self._start_soon()
