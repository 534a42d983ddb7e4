"""The task of `whatmatters mass segment`: from a file, or learned from references."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from MaskWhatMattersLib.cli.batch import Place, run_first
from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.jobs.mass_segment_job import MassEncodeSpec
from MaskWhatMattersLib.mass.example_files import ReadExamples, read_examples
from MaskWhatMattersLib.mass.seg_nrrd import without_seg
from MaskWhatMattersLib.mass.task_files import SUFFIX, read_task
from MaskWhatMattersLib.mass.task_labels import with_labels
from MaskWhatMattersLib.volumes import base_name, find_volume_paths, is_volume_path

if TYPE_CHECKING:
    from MaskWhatMattersLib.cli.display import Display
    from MaskWhatMattersLib.mass.example import Example
    from MaskWhatMattersLib.mass.task import Task

_SHOWN = 5


def reference_files(references: Sequence[Sequence[Path]], option: str = "--reference") -> list[tuple[Path, Path]]:
    """Scan and label map of each reference; two folders give those of the same name.

    Args:
        references: Two files or two folders each.
        option: How they were given, for the message.

    Raises:
        InputError: Files that do not exist, or folders in which nothing fits together; all problems at once.
    """
    problems: list[str] = []
    found: dict[Path, tuple[Path, Path]] = {}
    for image, label_map in references:
        missing = [path for path in (image, label_map) if not path.exists()]
        if missing:
            problems += [f"{path} does not exist." for path in missing]
        elif image.is_dir() and label_map.is_dir() and not is_volume_path(image):
            for pair in _paired(image, label_map, problems):
                found.setdefault(pair[0].resolve(), pair)
        elif found.setdefault(image.resolve(), (image, label_map))[1] != label_map:
            problems.append(f"{image} was given twice, with different label maps. Give each scan once.")
    if problems:
        raise InputError(f"{' '.join(problems)} Check the paths after {option}.")
    return list(found.values())


def names_of(typed: Sequence[str]) -> dict[int, str]:
    """Value -> name, of what followed --label.

    Raises:
        InputError: Not a number and a name.
    """
    names: dict[int, str] = {}
    for text in typed:
        value, _, name = text.partition("=")
        if not (value.strip().isdecimal() and int(value) and name.strip()):
            raise InputError(f"--label {text!r} cannot be used. Give a value of the label map and its name: 1=liver.")
        names[int(value)] = name.strip()
    return names


def chosen_labels(typed: str | None) -> tuple[str, ...]:
    """Values or names of what followed --labels; empty for all."""
    return tuple(filter(None, (part.strip() for part in (typed or "").split(","))))


def task_from_file(path: Path, chosen: Sequence[str]) -> Task:
    """A task file's task, or some of its labels.

    Raises:
        InputError: No task file, or a label that it does not have.
    """
    task = read_task(path)
    return with_labels(task, chosen) if chosen else task


def model_of_task(path: Path, task: Task) -> str | None:
    """The model that a tuning left beside the task file, if that is the one that made the task."""
    from MaskWhatMattersLib.models import read_card

    for model in sorted(path.parent.glob("*.safetensors")):
        if not model.name.endswith(SUFFIX):
            try:
                if read_card(model).sha256 == task.model_sha256:
                    return str(model)
            except InputError:  # some other file, for example one without a card
                continue
    return None


def read_references(
    references: Sequence[tuple[Path, Path]],
    names: dict[int, str],
    chosen: Sequence[str],
    modality: str | None,
    replace_nan: float | None,
) -> ReadExamples:
    """Scans and masks of references, see `read_examples`.

    Raises:
        InputError: What cannot be used; all problems of one kind at once.
    """
    try:
        return read_examples(references, names=names, chosen=chosen, modality=modality, replace_nan=replace_nan)
    except InputError as error:
        text = str(error)
        raise InputError(text + " (here: --replace-nan 0)" if "replace_nan" in text else text) from error


def learn(spec: MassEncodeSpec, examples: Sequence[Example], place: Place, display: Display) -> Task:
    """Encode references once for the whole batch, where that will run.

    Raises:
        InputError: References or model cannot be used.
        JobError: The job failed.
    """
    if place.scheduler is not None:  # files are often called after patients
        examples = [replace(each, image=replace(each.image, name="")) for each in examples]
    task: Task = run_first(spec, examples, place, display, "references")
    return task


def check_task_place(path: Path) -> None:
    """See, before any work, that a task file may be written there.

    Raises:
        InputError: Another ending, no such folder, or a file of another kind is there.
    """
    if not path.name.endswith(SUFFIX) or path.name == SUFFIX:
        raise InputError(f"A task file ends in {SUFFIX}; found {path.name}. Use for example liver{SUFFIX}.")
    if not path.parent.is_dir():
        raise InputError(f"The folder {path.parent} does not exist. Make it, or choose another one for --save-task.")
    if path.exists():
        try:
            read_task(path)
        except InputError as error:
            raise InputError(f"{path} exists and is no task file. Move it away, or choose another name.") from error


def _paired(images: Path, label_maps: Path, problems: list[str]) -> list[tuple[Path, Path]]:
    """Scans and label maps of the same name in two folders; what is wrong goes to `problems`."""
    scan_of = {base_name(path): path for path in find_volume_paths(images)}
    marks_of = {without_seg(base_name(path)): path for path in find_volume_paths(label_maps)}
    pairs = [(scan_of[name], marks_of[name]) for name in sorted(scan_of.keys() & marks_of.keys())]
    if not pairs:
        names = ", ".join([*scan_of, *marks_of][:_SHOWN])
        problems.append(
            f"No scan in {images} has the name of a label map in {label_maps}; found {names or 'nothing'}. Give both "
            "the same name."
        )
    return pairs
