"""One job per image: read, submit and collect, here or on a scheduler, and go on after a failure."""

from __future__ import annotations

import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from MaskWhatMattersLib.cli.display import Display
from MaskWhatMattersLib.cli.inputs import Scan
from MaskWhatMattersLib.errors import ConsentRequiredError, InputError, JobError, ModelFileError
from MaskWhatMattersLib.jobs import InlineRunner, Runner, SchedulerRunner
from MaskWhatMattersLib.volumes import Volume, read_volume

if TYPE_CHECKING:
    from MaskWhatMattersLib.jobs import Event, Job
    from MaskWhatMattersLib.jobs.spec import JobSpec

_AHEAD = 4  # images on their way to a scheduler at once
_LOOK_S = 0.05


class Place(NamedTuple):
    """Where jobs run: in this process, or on the scheduler with that address.

    Attributes:
        scheduler: Address; None for this process.
        tls_ca: Certificate of the scheduler's authority.
        tls_cert: Certificate of this computer.
        tls_key: Key of that certificate.
        send_pixels: Consent that pixel data leave this computer.
    """

    scheduler: str | None = None
    tls_ca: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    send_pixels: bool = False


class Batch(NamedTuple):
    """What to do with each image.

    Attributes:
        spec: The job.
        data: What the job gets beside the image.
        add: Keeps the result of one image; returns lines to show.
        fail: Notes that an image could not be processed, and why.
        replace_nan: See `read_volume`.
        modality: See `read_volume`.
    """

    spec: JobSpec
    data: Sequence[Any]
    add: Callable[[Scan, Volume, Any], Iterable[str]]
    fail: Callable[[Scan, str], None]
    replace_nan: float | None = None
    modality: str | None = None


def run_batch(scans: Sequence[Scan], batch: Batch, place: Place, display: Display) -> None:
    """Work on every image, a few ahead where a scheduler works on several at once.

    Raises:
        ModelFileError, ConsentRequiredError: Every image would fail in the same way.
        InputError: The scheduler cannot be used.
    """
    waiting: deque[tuple[Scan, Volume, Job]] = deque()
    present: list[str] = [""]  # name of the image that an inline job works on
    with _runner(place, lambda _, event: display.event(present[0], event)) as (runner, ahead):

        def collect() -> None:
            scan, volume, job = waiting.popleft()
            with _reported(scan, batch, display):
                for line in batch.add(scan, volume, _result_of(job, scan.name, place, display)):
                    display.result(line)
            display.finished()

        for scan in scans:
            present[0] = scan.name
            with _reported(scan, batch, display) as reading:
                volume = read_volume(scan.path, replace_nan=batch.replace_nan, modality=batch.modality)
                waiting.append((scan, volume, runner.submit(batch.spec, _sent(volume, place), *batch.data)))
            if reading.failed:
                display.finished()
            elif len(waiting) >= ahead:
                collect()
        while waiting:
            collect()


def run_first(spec: JobSpec, data: Sequence[Any], place: Place, display: Display, name: str) -> Any:
    """Run one job that the batch builds on, where the batch will run, and return its result.

    Args:
        spec: The job.
        data: What it gets.
        place: Where it runs.
        display: Shows how far it is.
        name: What to call it.

    Raises:
        InputError: What it was given, or the scheduler, cannot be used.
        JobError: It failed.
    """
    with _runner(place, lambda _, event: display.event(name, event)) as (runner, _):
        return _result_of(runner.submit(spec, *data), name, place, display)


def _result_of(job: Job, name: str, place: Place, display: Display) -> Any:
    """Show what the job reports until it has ended."""
    is_done = False
    while not is_done:
        is_done = job.done()  # asked first: a fast job's events would be lost otherwise
        for event in job.events() if place.scheduler is not None else ():  # here they were shown live
            display.event(name, event)
        if not is_done:
            time.sleep(_LOOK_S)
    return job.result()


def _sent(volume: Volume, place: Place) -> Volume:
    """The image as its job gets it; another computer gets no name, since files are often called after patients."""
    return volume if place.scheduler is None else replace(volume, name="")


@contextmanager
def _runner(place: Place, on_event: Callable[[Job, Event], None]) -> Iterator[tuple[Runner, int]]:
    """Where the jobs run, and how many images to have under way."""
    if place.scheduler is None:
        with InlineRunner(on_event) as inline:
            yield inline, 1
        return
    with SchedulerRunner(
        place.scheduler,
        tls_ca=place.tls_ca,
        tls_cert=place.tls_cert,
        tls_key=place.tls_key,
        consent_to_send_pixels=place.send_pixels,
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
def _reported(scan: Scan, batch: Batch, display: Display) -> Iterator[_Outcome]:
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
        batch.fail(scan, text)
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
