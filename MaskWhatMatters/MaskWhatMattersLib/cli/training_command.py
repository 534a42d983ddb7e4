"""What all commands that train share: options, the live line, stopping with Ctrl+C, the report at the end."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO

from MaskWhatMattersLib.cli.codes import DONE, INTERRUPTED
from MaskWhatMattersLib.training.launched import is_first_process, process_count

if TYPE_CHECKING:
    from pydantic import BaseModel

    from MaskWhatMattersLib.cli.display import Display
    from MaskWhatMattersLib.jobs import Event, Job
    from MaskWhatMattersLib.jobs.spec import JobSpec

_LINE_EVERY_S = 30.0


class OutputStyle(NamedTuple):
    """How much a command says, and in which form; see `cli.style.add_output_style`."""

    as_json: bool
    quiet: bool
    verbose: bool

    @classmethod
    def taken_from(cls, given: dict[str, Any]) -> OutputStyle:
        """Take the three options out of what was typed."""
        return cls(given.pop("json"), given.pop("quiet"), given.pop("verbose"))


class Reporter:
    """Turns events of the job into what a person at a terminal, or a log file, should see.

    Points of the curves come as lines every half minute; those with a score always, and all of them when verbose.
    Pictures are for panels.

    Args:
        display: Where lines and bars go.
        name: Of the run.
        quiet: Show nothing.
        verbose: Show every point.
        scores: Names of values that only a validation gives.
        clock: Seconds that only grow.
    """

    def __init__(
        self,
        display: Display,
        name: str,
        *,
        quiet: bool = False,
        verbose: bool = False,
        scores: Collection[str] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._display, self._name = display, name
        self._quiet, self._verbose = quiet, verbose
        self._scores = frozenset(scores)
        self._clock = clock
        self._shown_at = float("-inf")
        self._stages: set[str] = set()

    def __call__(self, event: Event) -> None:
        """Show an event, or not."""
        from MaskWhatMattersLib.training.points import parse_picture, parse_point

        if self._quiet:
            return
        if event.kind != "log":
            self._display.event(self._name, event)
            if event.kind == "stage" and not self._display.stream.isatty() and event.stage not in self._stages:
                self._stages.add(event.stage)  # training and validation take turns; once is enough
                self._display.line(event.stage)
            return
        if parse_picture(event.message) is not None:
            return
        point = parse_point(event.message)
        if point is None:
            self._display.line(event.message)
        elif self._verbose or self._scores & set(point[1]) or self._clock() - self._shown_at >= _LINE_EVERY_S:
            self._shown_at = self._clock()
            values = ", ".join(f"{name} {value:.4g}" for name, value in point[1].items())
            self._display.line(f"step {point[0]}: {values}")


def add_resume(parser: Any) -> None:
    """Add --resume and --fresh."""
    choice = parser.add_mutually_exclusive_group()
    unless_typed = argparse.SUPPRESS  # what was not typed is left to the job
    choice.add_argument(
        "--resume", action="store_true", default=unless_typed, help="go on with the run in the output folder (default)"
    )
    choice.add_argument(
        "--fresh",
        action="store_false",
        dest="resume",
        default=unless_typed,
        help="start anew, in DIR-2, DIR-3, ... where DIR is taken",
    )


def run_training(
    spec: JobSpec,
    output: Path,
    style: OutputStyle,
    *,
    command: str,
    inputs: Sequence[Path],
    scores: Collection[str],
    report: Callable[[Any], dict[str, Any]],
    summary: Callable[[Any], str],
) -> int:
    """Train in this process; Ctrl+C asks it to stop at its next step, a second one ends it at once.

    Args:
        spec: The job.
        output: Folder of the run.
        style: How much is said.
        command: As it is typed, for messages.
        inputs: Folders that nothing may be written to.
        scores: See `Reporter`.
        report: What --json prints, of the job's result; the time is added.
        summary: Lines for a person, of the job's result.

    Returns:
        Exit code.

    Raises:
        InputError: Something that was given cannot be used.
        JobError: The training failed.
    """
    is_first = is_first_process()  # torchrun and srun start this command once per device
    if is_first:
        from MaskWhatMattersLib.cli.inputs import check_output

        check_output(output, list(inputs))
    stream = sys.stderr if style.as_json else sys.stdout
    quiet = style.quiet or not is_first
    started = time.monotonic()
    with training_display(quiet=quiet, stream=stream) as display:
        shown = Reporter(display, output.name, quiet=quiet, verbose=style.verbose, scores=scores)
        job = _run(spec, shown)
    if job.state == "cancelled":
        print(
            f"{command}: stopped. Run the same command again to go on; all is kept in {output}.",
            file=sys.stderr,
        )
        return INTERRUPTED
    result = job.result()
    if style.as_json and is_first:
        print(json.dumps({**report(result), "seconds": round(time.monotonic() - started, 1)}, indent=2))
    if not quiet:
        print(summary(result), file=stream)
    return DONE


def training_display(*, quiet: bool, stream: TextIO) -> Display:
    """A bar for the one training where a person looks at the stream, plain lines elsewhere."""
    from MaskWhatMattersLib.cli.display import BarDisplay, Display

    if stream.isatty() and not quiet:
        bars = BarDisplay(1, verbose=False, stream=stream)
        bars._bars.update(bars._inputs, visible=False)  # there is one training, not a list of images
        return bars
    return Display(1, quiet=quiet, verbose=False, stream=stream)


def print_schema(settings: type[BaseModel]) -> int:
    """Print all settings of a training's TOML file as JSON schema; returns the exit code."""
    print(json.dumps(settings.model_json_schema(), indent=2))
    return DONE


def _run(spec: JobSpec, report: Reporter) -> Job:
    from MaskWhatMattersLib.jobs import InlineRunner

    with InlineRunner(lambda _, event: report(event)) as runner, _stopped_by_interrupt(runner):
        return runner.submit(spec)


@contextmanager
def _stopped_by_interrupt(runner: Any) -> Iterator[None]:
    # Several processes would not stop at the same step and wait for each other for ever: their launcher ends them.
    if threading.current_thread() is not threading.main_thread() or process_count() > 1:
        yield
        return
    before = signal.getsignal(signal.SIGINT)

    def stop(*_: Any) -> None:
        signal.signal(signal.SIGINT, before)
        if (job := runner.current) is not None:
            print("Stopping after this step; press Ctrl+C again to end at once.", file=sys.stderr, flush=True)
            job.cancel()

    signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
