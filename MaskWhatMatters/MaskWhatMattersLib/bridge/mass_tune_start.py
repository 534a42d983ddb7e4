"""Start a tuning from the panel or the console: what cannot work is refused here, before anything is begun."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import slicer

from MaskWhatMattersLib.bridge.adapt_cases import Pair, is_node, source_of
from MaskWhatMattersLib.bridge.adapt_checks import require_usable
from MaskWhatMattersLib.bridge.jobs import training_runner
from MaskWhatMattersLib.bridge.mass_apply_run import read_task_file, write_task_file
from MaskWhatMattersLib.bridge.mass_examples import structure_names
from MaskWhatMattersLib.bridge.mass_tune_cases import FEWEST_CASES, case_problems, too_few
from MaskWhatMattersLib.bridge.mass_tune_run import MassTuneRun
from MaskWhatMattersLib.bridge.new_models import new_model_folder
from MaskWhatMattersLib.bridge.setup import missing_packages
from MaskWhatMattersLib.bridge.training_run import MODEL_FILE, result_file
from MaskWhatMattersLib.errors import InputError, JobError

PACKAGES = ("torch", "monai", "safetensors", "lightning_fabric")
"""Import names of what tuning needs, beside what every job needs."""

_LIVE = {"log_every": 2}
"""Steps between points of the curves: someone watches, and one may take seconds."""


def start_tuning(
    cases: Iterable[Any],
    segments: Sequence[str] | None = None,
    *,
    start_model: str | None = None,
    mode: str = "tokens",
    minutes: float = 10,
    device: str = "auto",
    name: str = "",
    config: Mapping[str, Any] | None = None,
    callbacks: Mapping[str, Callable[[Any], None] | None] | None = None,
) -> MassTuneRun:
    """Start a tuning on a worker of its own.

    Args:
        cases: Volume nodes with their segmentation or label map nodes, in pairs.
        segments: Names of the segments to learn; None takes all.
        start_model: Name or file of the model to start from; None takes the default.
        mode: "tokens", "head" or "full".
        minutes: Budget for the steps, those of the plain network included.
        device: "auto", "cpu", "cuda" or "mps".
        name: Of the task; empty takes one with today's date.
        config: Fields of `MassTuneConfig`, for researchers and tests.
        callbacks: on_event, on_tick and on_end of `MassTuneRun`; None where nobody listens.

    Raises:
        InputError: Cases, name or settings cannot be used; said first, because no installation would mend it.
        JobError: A package is missing.
    """
    pairs = [pair if isinstance(pair, Pair) else Pair(*map(source_of, pair)) for pair in cases]
    _require_cases(pairs, segments)
    if not minutes > 0:
        raise InputError(f"The budget must be more than 0 minutes; found {minutes}. Give a larger one.")
    missing = missing_packages(PACKAGES)
    if missing:
        raise JobError(
            f"Packages are missing: {', '.join(missing)}.",
            hint="Open the module Mass In Context and press the button in its first line.",
        )
    from MaskWhatMattersLib.config_files import checked_settings
    from MaskWhatMattersLib.mass.tune_config import MassTuneConfig

    fields = {**_LIVE, **(config or {})}
    checked = checked_settings(MassTuneConfig, {**fields, "mode": mode}, source="tuning settings")
    settings = {
        "mode": mode,
        "minutes": minutes,
        "model": start_model or None,
        "device": device,
        "config": fields,
    }
    output = task_folder(name)
    listening = {key: callback for key, callback in (callbacks or {}).items() if callback is not None}
    has_baseline = checked.has_baseline(len(pairs))
    return MassTuneRun(training_runner(), pairs, segments, output, settings, has_baseline=has_baseline, **listening)


def task_folder(name: str) -> Path:
    """Where a new task of a name goes: a folder of its own among the user's models.

    Raises:
        InputError: Not a name, or one that is taken.
    """
    return new_model_folder(name, "my-task")


def copy_task(path: Path, wanted: str | Path) -> list[Path]:
    """Write a tuned task elsewhere, and beside it the model that it needs where more than its tokens learned.

    Args:
        path: The task file of a tuning.
        wanted: Ends in .task.safetensors; the ending is added where it is missing.

    Returns:
        The files that were written, the task first.

    Raises:
        InputError: The task cannot be read, or the files cannot be written.
        JobError: A package is missing.
    """
    written = [write_task_file(read_task_file(path), wanted)]
    model = result_file(path.parent, MODEL_FILE)
    if model is None or written[0].resolve() == path.resolve():
        return written
    target = written[0].with_name(written[0].name.removesuffix(".task.safetensors"))
    try:
        for suffix in (".json", ".safetensors"):  # no model without its card
            file = target.with_name(target.name + suffix)
            aside = file.with_name(file.name + ".part")
            shutil.copyfile(model.with_suffix(suffix), aside)
            os.replace(aside, file)
            written.append(file)
    except OSError as error:
        raise InputError(
            f"The task was written to {written[0]}, the model that it needs was not: {error.strerror or error}. Free "
            "some space, or choose another folder."
        ) from error
    return written


def _require_cases(pairs: Sequence[Pair], segments: Sequence[str] | None) -> None:
    """Refuse what cannot be tuned on, all problems together where one does not follow from another."""
    scene = slicer.mrmlScene
    files = [one for pair in pairs for one in (pair.image, pair.label) if not is_node(one)]
    if files:
        raise InputError(
            f"{', '.join(files)}: not in the scene. Load the files first, or tune on files with whatmatters mass tune."
        )
    if len(pairs) < FEWEST_CASES:
        raise InputError(too_few(len(pairs)))
    require_usable(scene, pairs, ())
    labels = [scene.GetNodeByID(pair.label) for pair in pairs]
    problems = case_problems(scene, pairs, structure_names(labels) if segments is None else segments)
    if problems:
        raise InputError("\n".join(problems))
