"""How long work reports itself: the one protocol that jobs, trainings and localizers share."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Receives stages, steps and log lines; may stop the work.

    `stage` and `step` raise `JobCancelledError` when the user asked to stop.
    """

    def stage(self, text: str, total: int = 0) -> None:
        """Begin a stage, in words a clinician reads; `total` steps, 0 when unknown."""

    def step(self, count: int = 1, message: str = "") -> None:
        """Advance the current stage."""

    def log(self, text: str) -> None:
        """Add one line to the log."""


class SilentProgress:
    """Reports nothing and never stops: for plain calls from a script."""

    def stage(self, text: str, total: int = 0) -> None:
        """Ignore the stage."""

    def step(self, count: int = 1, message: str = "") -> None:
        """Ignore the step."""

    def log(self, text: str) -> None:
        """Ignore the line."""


class PrintedProgress:
    """Plain lines for a long run in the background: stages, log lines, and every hundredth step."""

    def __init__(self, every: int = 100) -> None:
        self._every = every
        self._count = 0

    def stage(self, text: str, total: int = 0) -> None:
        """Print the stage."""
        self._count = 0
        print(f"{text} ({total})", flush=True)

    def step(self, count: int = 1, message: str = "") -> None:
        """Print every so many steps."""
        self._count += count
        if self._count % self._every == 0:
            print(f"  {self._count} {message}", flush=True)

    def log(self, text: str) -> None:
        """Print the line."""
        print(text, flush=True)
