"""`whatmatters corn train`: train the left atrium networks on folders of scans; stop and go on at any time."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from MaskWhatMattersLib.cli.codes import DONE, INTERRUPTED
from MaskWhatMattersLib.cli.style import add_output_style
from MaskWhatMattersLib.errors import InputError

if TYPE_CHECKING:
    from MaskWhatMattersLib.cli.display import Display
    from MaskWhatMattersLib.corn.training_result import TrainedModel
    from MaskWhatMattersLib.jobs import Event, Job
    from MaskWhatMattersLib.jobs.corn_train_job import CornTrainSpec

MODES = ("ours", "paper", "code", "supervised", "mean_teacher")
_REQUIRED = ("images", "labels", "labelled", "output")
_LINE_EVERY_S = 30.0
_EXAMPLE = """examples:
  whatmatters corn train --images images --labels labels --labelled 4 --validation 5 --output my-site
  whatmatters corn train --images images --labels labels --labelled first.txt --unlabelled more --minutes 60 \\
      --start-model left-atrium --output my-site
  whatmatters corn train --images images --labels labels --labelled 4 --config configs/corn/paper.toml --output paper
  torchrun --nproc-per-node 4 -m MaskWhatMattersLib.cli corn train --images images --labels labels --labelled 16 \\
      --output big

Images and label maps are paired by name. A file train.list beside the images gives their order and says which of them
take part; without it the order is that of the names. The same command again goes on where the last one stopped.

Exit codes: 0 done, 1 the training failed, 2 usage error or scans that cannot be used. Not for clinical use.
"""


def add_parser(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "train",
        help="train on few labelled and many unlabelled scans",
        description="Train the left atrium networks on few labelled and many unlabelled MR scans.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,  # only what was typed replaces a value of the settings file
        allow_abbrev=False,
    )
    parser.add_argument("--images", type=Path, metavar="DIR", help="folder of images")
    parser.add_argument(
        "--labels", type=Path, metavar="DIR", help="folder of label maps with the names of their images"
    )
    parser.add_argument(
        "--labelled", metavar="N|LIST", help="how many or which are labelled: first N, names, text file"
    )
    parser.add_argument("--output", type=Path, metavar="DIR", help="folder for the model, its checkpoint and its log")
    parser.add_argument("--unlabelled", type=Path, metavar="DIR", help="another folder of images without labels")
    parser.add_argument(
        "--validation", metavar="N|LIST", help="which measure the result, never learned from: last N, ..."
    )
    parser.add_argument("--foreground", type=int, metavar="VALUE", help="value of the atrium in the label maps")
    parser.add_argument("--mode", choices=MODES, help="method (default: ours)")
    parser.add_argument("--accuracy-layer", action="store_true", help="add averaged teacher, copy-paste and warm-up")
    parser.add_argument("--start-model", metavar="NAME", help="model to start from, name or file (default: none)")
    parser.add_argument("--minutes", type=float, metavar="M", help="budget; as many steps as fit")
    parser.add_argument("--steps", type=int, metavar="N", help="optimizer steps")
    parser.add_argument("--device", metavar="NAME", help="auto (default), cpu, cuda, cuda:1, mps")
    parser.add_argument("--config", type=Path, metavar="FILE", help="TOML file with any setting of the training")
    parser.add_argument(
        "--print-schema", action="store_true", help="print all settings of the TOML file, as JSON schema"
    )
    add_output_style(parser)
    parser.set_defaults(run=run)


def run(given: dict[str, Any]) -> int:
    """Run the subcommand.

    Args:
        given: What was typed, by the names of `CornTrainSpec`, and config, print_schema, json, quiet, verbose.

    Returns:
        Exit code.

    Raises:
        InputError: A usage error, or scans, settings or a start model that cannot be used.
        JobError: The training failed.
    """
    as_json, quiet, verbose = given.pop("json"), given.pop("quiet"), given.pop("verbose")
    if given.pop("print_schema", False):
        return _print_schema()
    spec = read_spec(given)
    # torchrun and srun start this command once per device.
    is_first = int(os.environ.get("RANK", os.environ.get("SLURM_PROCID", "0"))) == 0
    if is_first:
        from MaskWhatMattersLib.cli.inputs import check_output

        check_output(spec.output, [folder for folder in (spec.images, spec.labels, spec.unlabelled) if folder])
    stream = sys.stderr if as_json else sys.stdout
    started = time.monotonic()
    with _display(spec, quiet=quiet or not is_first, verbose=verbose, stream=stream) as display:
        job = _train(spec, Reporter(display, spec.output.name, quiet=quiet or not is_first, verbose=verbose))
    if job.state == "cancelled":
        print(
            f"whatmatters corn train: stopped. Run the same command again to go on; all is kept in {spec.output}.",
            file=sys.stderr,
        )
        return INTERRUPTED
    trained: TrainedModel = job.result()
    if as_json and is_first:
        print(json.dumps(_report(trained, time.monotonic() - started), indent=2))
    if is_first and not quiet:
        print(_summary(trained), file=stream)
    return DONE


def read_spec(given: dict[str, Any]) -> CornTrainSpec:
    """The job that was typed.

    Raises:
        InputError: Something is missing or wrong; all of it, as far as it can be told before any work.
    """
    from MaskWhatMattersLib.config_files import read_toml
    from MaskWhatMattersLib.datasets.training_cases import selection
    from MaskWhatMattersLib.jobs.corn_train_job import CornTrainSpec

    if missing := [f"--{name} is missing" for name in _REQUIRED if name not in given]:
        raise InputError(f"{'; '.join(missing)}. See whatmatters corn train --help.")
    values = dict(given)
    for name in ("labelled", "validation"):
        if name in values:
            values[name] = selection(values[name])
    if (config := values.pop("config", None)) is not None:
        values["config"] = read_toml(config)
    return CornTrainSpec(**values)


class Reporter:
    """Turns events of the job into what a person at a terminal, or a log file, should see.

    Points of the curves come as lines every half minute; those with a score always, and all of them when verbose.

    Args:
        display: Where lines and bars go.
        name: Of the run.
        quiet: Show nothing.
        verbose: Show every point.
        clock: Seconds that only grow.
    """

    def __init__(
        self,
        display: Display,
        name: str,
        *,
        quiet: bool = False,
        verbose: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._display, self._name = display, name
        self._quiet, self._verbose = quiet, verbose
        self._clock = clock
        self._shown_at = float("-inf")

    def __call__(self, event: Event) -> None:
        """Show an event, or not."""
        from MaskWhatMattersLib.training.points import parse_point

        if self._quiet:
            return
        if event.kind != "log":
            self._display.event(self._name, event)
            if event.kind == "stage" and not self._display.stream.isatty():
                self._display.line(event.stage)
            return
        point = parse_point(event.message)
        if point is None:
            self._display.line(event.message)
        elif self._verbose or "dice_auxiliary" in point[1] or self._clock() - self._shown_at >= _LINE_EVERY_S:
            self._shown_at = self._clock()
            values = ", ".join(f"{name} {value:.4g}" for name, value in point[1].items())
            self._display.line(f"step {point[0]}: {values}")


def _train(spec: CornTrainSpec, report: Reporter) -> Job:
    """Run the job here; Ctrl+C asks it to stop at its next step, a second one ends it at once."""
    from MaskWhatMattersLib.jobs import InlineRunner

    with InlineRunner(lambda _, event: report(event)) as runner, _stopped_by_interrupt(runner):
        return runner.submit(spec)


@contextmanager
def _stopped_by_interrupt(runner: Any) -> Iterator[None]:
    # Several processes would not stop at the same step and wait for each other for ever: their launcher ends them.
    processes = int(os.environ.get("WORLD_SIZE", os.environ.get("SLURM_NTASKS", "1")))
    if threading.current_thread() is not threading.main_thread() or processes > 1:
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


def _display(spec: CornTrainSpec, *, quiet: bool, verbose: bool, stream: TextIO) -> Display:
    from MaskWhatMattersLib.cli.display import BarDisplay, Display

    if stream.isatty() and not quiet:
        bars = BarDisplay(1, verbose=False, stream=stream)
        bars._bars.update(bars._inputs, visible=False)  # there is one training, not a list of images
        return bars
    return Display(1, quiet=quiet, verbose=False, stream=stream)


def _print_schema() -> int:
    from MaskWhatMattersLib.corn.config import CornTrainingConfig

    print(json.dumps(CornTrainingConfig.model_json_schema(), indent=2))
    return DONE


def _report(trained: TrainedModel, seconds: float) -> dict[str, Any]:
    return {
        "model": str(trained.path),
        "name": trained.name,
        "steps": trained.steps,
        "validation_dice": trained.validation_dice,
        "validation_cases": trained.validation_cases,
        "seconds": round(seconds, 1),
    }


def _summary(trained: TrainedModel) -> str:
    score = "not validated"
    if trained.validation_dice is not None:
        score = f"Dice {trained.validation_dice:.4f} over {trained.validation_cases} validation scans"
    return (
        f"{trained.path}: {trained.steps} steps, {score}. Not for clinical use.\n"
        f"Use it: whatmatters corn segment SCAN --model {trained.path} --output DIR"
    )
