"""`whatmatters relevance`: find prompts in files and folders, and write what was found."""

from __future__ import annotations

import sys
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from MaskWhatMattersLib.cli.codes import DONE, SOME_FAILED, USAGE
from MaskWhatMattersLib.cli.display import Display, make_display
from MaskWhatMattersLib.cli.inputs import Scan, check_output, find_scans
from MaskWhatMattersLib.cli.names import unique_slugs
from MaskWhatMattersLib.cli.options import RelevanceOptions, read_options
from MaskWhatMattersLib.cli.prompts import check_localizer, check_prompts
from MaskWhatMattersLib.cli.results import Results
from MaskWhatMattersLib.contact_sheet import describe
from MaskWhatMattersLib.errors import ConsentRequiredError, InputError, JobError, ModelFileError
from MaskWhatMattersLib.jobs import InlineRunner, Runner, SchedulerRunner
from MaskWhatMattersLib.jobs.relevance_job import RelevanceSpec
from MaskWhatMattersLib.volumes import Volume, read_volume

if TYPE_CHECKING:
    from MaskWhatMattersLib.jobs import Event, Job

_AHEAD = 4  # images on their way to a scheduler at once
_LOOK_S = 0.05


def relevance(given: dict[str, Any]) -> int:
    """Run the subcommand.

    Args:
        given: What was typed, by the names of `RelevanceOptions`, and config, json, quiet, verbose.

    Returns:
        Exit code.

    Raises:
        InputError: A usage error, found before any work.
    """
    as_json, quiet, verbose = given.pop("json"), given.pop("quiet"), given.pop("verbose")
    options = read_options(given.pop("config", None), given)
    check_localizer(options)
    check_prompts(options.prompts, options.localizer)
    scans = find_scans(options.inputs)
    check_output(options.output, options.inputs)
    roi = read_volume(options.roi) if options.roi is not None else None
    spec = RelevanceSpec(**{name: getattr(options, name) for name in RelevanceSpec.model_fields})

    results = Results(options.output, unique_slugs(options.prompts), options.threshold)
    stream = sys.stderr if as_json else sys.stdout
    try:
        with make_display(len(scans), quiet=quiet, verbose=verbose, stream=stream) as display:
            _run(scans, spec, roi, options, results, display)
    finally:
        results.close()
    if as_json:
        sys.stdout.write(results.as_json())
    if not quiet:
        print(results.summary(), file=stream)
    if any(entry["verdict"] == "unknown" for entry in results.entries):
        return USAGE
    return SOME_FAILED if results.failed else DONE


def _run(
    scans: list[Scan],
    spec: RelevanceSpec,
    roi: Volume | None,
    options: RelevanceOptions,
    results: Results,
    display: Display,
) -> None:
    """Read, submit and collect; a few images ahead where a scheduler works on several at once."""
    waiting: deque[tuple[Scan, Volume, Job]] = deque()
    present: list[str] = [""]  # name of the image that an inline job works on
    with _runner(options, lambda _, event: display.event(present[0], event)) as (runner, ahead):

        def collect() -> None:
            scan, volume, job = waiting.popleft()
            with _reported(scan, results, display):
                is_done = False
                while not is_done:
                    is_done = job.done()  # asked first: a fast job's events would be lost otherwise
                    for event in job.events():
                        display.event(scan.name, event)
                    if not is_done:
                        time.sleep(_LOOK_S)
                for answer in results.add(scan, volume, job.result()):
                    display.result(f"{scan.path}: {answer.prompt}: {describe(answer, options.threshold)}")
            display.finished()

        for scan in scans:
            present[0] = scan.name
            with _reported(scan, results, display) as reading:
                volume = read_volume(scan.path, replace_nan=options.replace_nan, modality=options.modality)
                waiting.append((scan, volume, runner.submit(spec, volume, *([roi] if roi is not None else []))))
            if reading.failed:
                display.finished()
            elif len(waiting) >= ahead:
                collect()
        while waiting:
            collect()


@contextmanager
def _runner(options: RelevanceOptions, on_event: Callable[[Job, Event], None]) -> Iterator[tuple[Runner, int]]:
    """Where the jobs run, and how many images to have under way."""
    if options.scheduler is None:
        with InlineRunner(on_event) as inline:
            yield inline, 1
        return
    with SchedulerRunner(
        options.scheduler,
        tls_ca=options.tls_ca,
        tls_cert=options.tls_cert,
        tls_key=options.tls_key,
        consent_to_send_pixels=options.send_pixels,
        parallel=_AHEAD,
    ) as remote:
        from MaskWhatMattersLib.cli.probe import ProbeSpec

        try:
            remote.submit(ProbeSpec()).result()
        except JobError as error:  # nothing was done yet, so this is about the address and not about the images
            raise InputError(f"{error} {error.hint}".rstrip()) from error
        yield remote, _AHEAD


class _Outcome:
    """Whether a step on one image failed."""

    failed = False


@contextmanager
def _reported(scan: Scan, results: Results, display: Display) -> Iterator[_Outcome]:
    """Report whatever goes wrong with one image, and go on with the next.

    Raises:
        ModelFileError, ConsentRequiredError: Every image would fail in the same way.
    """
    outcome = _Outcome()
    try:
        yield outcome
    except (ModelFileError, ConsentRequiredError):
        raise
    except Exception as error:
        outcome.failed = True
        text = _explain(error)
        results.add_failure(scan, text)
        details = getattr(error, "details", "") or "".join(traceback.format_exception(error))
        display.failure(f"{_named(scan.path, text)}", details)


def _named(path: Path, text: str) -> str:
    """The message, with the path in front unless it begins with it already."""
    return text if text.startswith(str(path)) else f"{path}: {text}"


def _explain(error: Exception) -> str:
    """What went wrong and what to do, in one line."""
    if isinstance(error, JobError):
        return f"{error} {error.hint}".rstrip()
    if isinstance(error, InputError):
        text = str(error)
        return text + " (here: --replace-nan 0)" if "replace_nan" in text else text
    if isinstance(error, OSError):
        place = f" ({error.filename})" if error.filename else ""
        return f"{error.strerror or error}{place}. Check the disk and the folder, then run again."
    return f"unexpected {type(error).__name__}: {error}. Run again with -v and report what it prints."
