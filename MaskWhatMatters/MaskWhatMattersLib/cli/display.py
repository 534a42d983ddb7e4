"""What the person sees while inputs are processed: bars on a terminal, plain lines in a log file."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Self, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from MaskWhatMattersLib.jobs.events import Event


class Display:
    """Plain lines: one per result, one per failure.

    Args:
        total: Number of inputs.
        quiet: Failures only.
        verbose: Log lines and details of failures too.
        stream: Where lines go that are not failures; those go to stderr.
    """

    def __init__(self, total: int, *, quiet: bool, verbose: bool, stream: TextIO) -> None:
        self.total = total
        self.quiet = quiet
        self.verbose = verbose
        self.stream = stream
        self.done = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def event(self, name: str, event: Event) -> None:
        """Show what a job reports about the input called `name`."""
        if self.verbose and event.kind in ("stage", "log"):
            self.line(f"{name}: {event.stage if event.kind == 'stage' else event.message}")

    def finished(self) -> None:
        """Count one input as dealt with."""
        self.done += 1

    def result(self, text: str) -> None:
        """Show one result."""
        if not self.quiet:
            self.line(f"[{self.done + 1}/{self.total}] {text}")

    def failure(self, text: str, details: str = "") -> None:
        """Show a failure; never silenced."""
        lines = [text, *(details.rstrip().splitlines() if self.verbose else [])]
        for line in lines:
            print(line, file=sys.stderr, flush=True)

    def line(self, text: str) -> None:
        """Print one line."""
        print(text, file=self.stream, flush=True)


class BarDisplay(Display):
    """The same lines above two bars: all inputs, and the stage of the present one."""

    def __init__(self, total: int, *, verbose: bool, stream: TextIO) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
        from rich.progress import TimeRemainingColumn as Remaining

        super().__init__(total, quiet=False, verbose=verbose, stream=stream)
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            Remaining(),
        )
        self._console = Console(file=stream)
        self._bars: Progress = Progress(*columns, console=self._console, transient=True)
        self._inputs: TaskID = self._bars.add_task("All images", total=total)
        self._stage: TaskID = self._bars.add_task("Starting", total=None)

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def event(self, name: str, event: Event) -> None:
        """Move the bar of the stage."""
        super().event(name, event)
        if event.kind == "stage":
            self._bars.reset(self._stage, total=event.total or None, description=f"{name}: {event.stage}"[:60])
        elif event.kind == "progress":
            self._bars.update(self._stage, completed=event.step)

    def finished(self) -> None:
        """Move the bar of all inputs."""
        super().finished()
        self._bars.update(self._inputs, completed=self.done)

    def failure(self, text: str, details: str = "") -> None:
        """Print above the bars, or to stderr where that leads elsewhere."""
        if sys.stderr.isatty():
            for line in [text, *(details.rstrip().splitlines() if self.verbose else [])]:
                self.line(line)
        else:
            super().failure(text, details)

    def line(self, text: str) -> None:
        """Print one line above the bars."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


def make_display(total: int, *, quiet: bool, verbose: bool, stream: TextIO) -> Display:
    """Bars where a person looks at the stream, plain lines elsewhere."""
    if stream.isatty() and not quiet:
        return BarDisplay(total, verbose=verbose, stream=stream)
    return Display(total, quiet=quiet, verbose=verbose, stream=stream)
