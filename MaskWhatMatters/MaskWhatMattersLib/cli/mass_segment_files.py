"""The work of `whatmatters mass segment`: learn from references, run one job per scan, print what came of it."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from MaskWhatMattersLib.cli.batch import Batch, Place, run_batch
from MaskWhatMattersLib.cli.codes import DONE, SOME_FAILED
from MaskWhatMattersLib.cli.display import make_display
from MaskWhatMattersLib.cli.inputs import Scan, check_apart, check_kept_names, check_output, find_scans
from MaskWhatMattersLib.cli.mass_segment_report import MassResults, in_words, probability_endings
from MaskWhatMattersLib.cli.mass_task import (
    check_task_place,
    chosen_labels,
    learn,
    model_of_task,
    names_of,
    read_references,
    reference_files,
    task_from_file,
)
from MaskWhatMattersLib.cli.training_command import training_display
from MaskWhatMattersLib.config_files import checked_settings
from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.jobs.mass_segment_job import MassEncodeSpec, MassSegmentSpec
from MaskWhatMattersLib.mass.seg_nrrd import without_seg
from MaskWhatMattersLib.mass.settings import SegmentSettings
from MaskWhatMattersLib.mass.task_files import save_task
from MaskWhatMattersLib.models import find_model
from MaskWhatMattersLib.volumes import Volume

if TYPE_CHECKING:
    from MaskWhatMattersLib.mass.result import InContextSegmentation
    from MaskWhatMattersLib.mass.task import Task

_CHOICE = {"auto": None, "yes": True, "no": False}


def segment(given: dict[str, Any]) -> int:
    """Run the subcommand.

    Args:
        given: What was typed, by the names in `mass_segment.add_parser`.

    Returns:
        Exit code.

    Raises:
        InputError: A usage error, found before any work, or references that cannot be used.
        JobError: Learning from the references failed.
    """
    _check_given(given)
    settings = _settings(given)
    place = Place(**{name: given[name] for name in Place._fields})
    references = reference_files(given["references"])
    scans = _scans_apart_from(references, given["inputs"])
    results = _results(given, references) if scans else None
    if given["save_task"] is not None:
        check_task_place(given["save_task"])
    if place.scheduler is None and given["model"] is not None:
        find_model(given["model"])  # before anything is read
    stream = sys.stderr if given["json"] else sys.stdout
    task, model = _task(given, references, place, stream)
    if not given["quiet"]:
        _print_notes(task, stream)
    if given["save_task"] is not None:
        save_task(task, given["save_task"])
        if not given["quiet"]:
            print(f"Task written: {given['save_task']}", file=stream)
    if results is None:
        return DONE
    if given["keep"]:
        check_kept_names(scans, probability_endings(task.labels))
    spec = MassSegmentSpec(model=model, device=given["device"], settings=settings)
    batch = _batch(spec, task, results, given)
    return _segment_all(scans, batch, results, given, place, stream)


def _check_given(given: dict[str, Any]) -> None:
    """Refuse what does not go together; all problems at once."""
    problems = []
    if bool(given["references"]) == (given["task"] is not None):
        problems.append("Give --reference IMAGE LABELMAP (once or more), or --task FILE.")
    if given["task"] is not None:
        unused = {"names": "--label", "save_task": "--save-task", "spacing": "--spacing"}
        typed = [flag for name, flag in unused.items() if given[name]]
        if typed:
            problems.append(f"{', '.join(typed)}: only with references; the task file says it already.")
    if given["inputs"] and given["output"] is None:
        problems.append("--output DIR is missing.")
    if not given["inputs"] and given["save_task"] is None:
        problems.append("Give at least one INPUT to segment, or --save-task FILE.")
    if problems:
        raise InputError(" ".join(problems) + " See whatmatters mass segment --help.")


def _settings(given: dict[str, Any]) -> SegmentSettings:
    values: dict[str, Any] = {
        "overlap": given["overlap"],
        "skip_empty": not given["every_window"],
        "retrieval": _CHOICE[given["retrieval"]],
        "mirrored": given["mirrored"],
        "keep_largest": _CHOICE[given["largest_piece"]],
        "quality": not given["no_quality"],
        "keep_probabilities": "probability" in given["keep"],
        "precision": given["precision"],
    }
    if given["threshold"] is not None:
        values["threshold"] = given["threshold"]
    return checked_settings(SegmentSettings, values, source="settings")


def _scans_apart_from(references: Sequence[tuple[Path, Path]], inputs: Sequence[Path]) -> list[Scan]:
    """What to segment: all inputs but the references' own files, and segmentations that lie beside their scans."""
    if not inputs:
        return []
    own = {path.resolve() for pair in references for path in pair}
    scans = [
        scan
        for scan in find_scans(inputs, "mass segment")
        if scan.path.resolve() not in own and without_seg(scan.name) == scan.name
    ]
    if not scans:
        raise InputError("Every INPUT is a reference itself or a segmentation; nothing is left. Give other scans.")
    return scans


def _task(
    given: dict[str, Any], references: Sequence[tuple[Path, Path]], place: Place, stream: TextIO
) -> tuple[Task, str | None]:
    """The task, and the model to apply it with."""
    chosen = chosen_labels(given["labels"])
    if given["task"] is not None:
        task = task_from_file(given["task"], chosen)
        return task, given["model"] or model_of_task(given["task"], task)
    names = names_of(given["names"])
    read = read_references(references, names, chosen, given["modality"], given["replace_nan"])
    if not given["quiet"]:
        for note in read.notes:
            print(note, file=stream)
    spec = MassEncodeSpec(model=given["model"], device=given["device"], spacing_mm=given["spacing"])
    with training_display(quiet=given["quiet"], stream=stream) as display:
        return learn(spec, read.examples, place, display), given["model"]


def _print_notes(task: Task, stream: TextIO) -> None:
    """What a person must know before using the task; to go on is to acknowledge it."""
    if task.research_only:
        print(f"The model {task.model} is for research use only: it was trained on data with such terms.", file=stream)
    for note in task.notes:
        print(note, file=stream)


def _results(given: dict[str, Any], references: Sequence[tuple[Path, Path]]) -> MassResults:
    """Where results go, once that is known to be a place for them."""
    output = given["output"]
    check_apart(output, [*given["inputs"], *(path for pair in references for path in pair)])
    check_output(output, given["inputs"])
    return MassResults(output, keep_probabilities=bool(given["keep"]))


def _batch(spec: MassSegmentSpec, task: Task, results: MassResults, given: dict[str, Any]) -> Batch:
    def add(scan: Scan, volume: Volume, result: InContextSegmentation) -> Iterator[str]:
        results.add(scan, result)
        notes = (*result.notes, *(note for found in result.labels for note in found.notes))
        yield "\n  ".join([f"{scan.path}: {in_words(result)}", *notes])

    return Batch(spec, (task,), add, results.add_failure, given["replace_nan"], given["modality"])


def _segment_all(
    scans: Sequence[Scan], batch: Batch, results: MassResults, given: dict[str, Any], place: Place, stream: TextIO
) -> int:
    try:
        with make_display(len(scans), quiet=given["quiet"], verbose=given["verbose"], stream=stream) as display:
            run_batch(scans, batch, place, display)
    finally:
        results.close()
    if given["json"]:
        sys.stdout.write(results.as_json())
    if not given["quiet"]:
        for line in results.worst_first():
            print(line, file=stream)
        print(results.summary(), file=stream)
    return SOME_FAILED if results.failed else DONE
