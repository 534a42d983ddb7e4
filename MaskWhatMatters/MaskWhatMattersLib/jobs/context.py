"""The side of a job that its function sees: report progress, notice a cancel."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

from MaskWhatMattersLib.errors import JobCancelledError
from MaskWhatMattersLib.jobs.events import Event


def _never() -> bool:
    return False


class JobContext:
    """A `Progress` that sends events and stops the job at its next step once cancel was asked for.

    Progress events closer than `interval_s` are merged, so that a loop of a million short steps costs nothing; the last
    step of a stage is always sent.

    Args:
        send: Receives every event; must not block.
        is_cancelled: Asked at every stage and step, so it must be cheap.
        interval_s: Least time between two progress events, s.
        clock: Seconds that only grow.
    """

    def __init__(
        self,
        send: Callable[[Event], None],
        is_cancelled: Callable[[], bool] = _never,
        *,
        interval_s: float = 0.05,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._send = send
        self._is_cancelled = is_cancelled
        self._interval_s = interval_s
        self._clock = clock
        self._started = self._stage_started = clock()
        self._sent = float("-inf")
        self._stage = ""
        self._step = self._total = 0

    def stage(self, text: str, total: int = 0) -> None:
        """Begin a stage of `total` steps; 0 when unknown.

        Raises:
            JobCancelledError: The user asked to stop.
        """
        self.raise_if_cancelled()
        self._stage, self._step, self._total = text, 0, total
        self._stage_started = self._clock()
        self._sent = float("-inf")
        self._send(self._event("stage", ""))

    def step(self, count: int = 1, message: str = "") -> None:
        """Advance the current stage by `count` steps.

        Raises:
            JobCancelledError: The user asked to stop.
        """
        self.raise_if_cancelled()
        self._step += count
        now = self._clock()
        if now - self._sent < self._interval_s and self._step != self._total:
            return
        self._sent = now
        self._send(self._event("progress", message))

    def log(self, text: str) -> None:
        """Send one line for the log."""
        self._send(self._event("log", text))

    def raise_if_cancelled(self) -> None:
        """Stop here if the user asked to.

        Raises:
            JobCancelledError: The user asked to stop.
        """
        if self._is_cancelled():
            raise JobCancelledError("The job was cancelled.")

    def _event(self, kind: Literal["stage", "progress", "log"], message: str) -> Event:
        now = self._clock()
        return Event(
            kind=kind,
            stage=self._stage,
            step=self._step,
            total=self._total,
            elapsed_s=now - self._started,
            remaining_s=self._remaining(now),
            message=message,
        )

    def _remaining(self, now: float) -> float | None:
        if self._step <= 0 or self._total <= 0:
            return None
        return (now - self._stage_started) / self._step * max(self._total - self._step, 0)
