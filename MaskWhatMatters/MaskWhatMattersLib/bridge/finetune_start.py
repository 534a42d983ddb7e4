"""Start a finetuning from the panel or the console: what cannot work is refused here, before anything is begun."""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import Any

import slicer

from MaskWhatMattersLib.bridge.adapt_cases import Pair, is_node, source_of
from MaskWhatMattersLib.bridge.adapt_checks import require_usable
from MaskWhatMattersLib.bridge.finetune_cases import class_problems
from MaskWhatMattersLib.bridge.finetune_run import FinetuneRun, FinetuneScans
from MaskWhatMattersLib.bridge.jobs import estimate_runner, runner_for, training_runner
from MaskWhatMattersLib.bridge.new_models import new_model_folder
from MaskWhatMattersLib.bridge.paused_runs import RunOrigin
from MaskWhatMattersLib.bridge.setup import missing_packages
from MaskWhatMattersLib.bridge.training_estimate import EstimateRun
from MaskWhatMattersLib.errors import ConsentRequiredError, InputError, JobError, ModelFileError

TASKS = ("segmentation", "classification", "detection")

_PACKAGES = ("torch", "monai", "safetensors", "lightning_fabric")
_LIVE = {"log_every": 2}  # someone watches, and a step may take seconds; validations are those of the preset


def required_packages(task: str) -> tuple[str, ...]:
    """Import names of what a task needs on the computer that learns, beside what every job needs."""
    return (*_PACKAGES, "transformers") if task == "detection" else _PACKAGES


def start_finetuning(
    labelled: Any,
    *,
    task: str = "segmentation",
    start_model: str | None = None,
    validation: float = 0.2,
    preset: str | None = "fast",
    minutes: float | None = None,
    dims: int | None = None,
    device: str = "auto",
    name: str = "",
    config: dict[str, Any] | None = None,
    scheduler: str = "",
    consent: bool = False,
    tls_files: tuple[str, str, str] = ("", "", ""),
    callbacks: dict[str, Callable[[Any], None] | None] | None = None,
) -> FinetuneRun:
    """Start a finetuning on a worker of its own, or on a scheduler.

    Args:
        labelled: Pairs of volume and segmentation or label map, as nodes or as files, whose third value names a
            segment; or a folder or manifest.
        task: "segmentation", "classification" or "detection"; the last two need a folder.
        start_model: Name or file of the model to start from; None begins from scratch.
        validation: Share of the patients that measures the result.
        preset: "fast", "paper" or "best"; None takes the defaults of `FinetuneConfig`.
        minutes: Budget for the steps; None for as many as the settings say.
        dims: From scratch, 2 for pictures and slices, 3 for volumes; None lets the job choose.
        device: "auto", "cpu", "cuda" or "mps".
        name: Of the model; empty takes one with today's date.
        config: Fields of `FinetuneConfig`, for researchers and tests.
        scheduler: Address of a Dask scheduler; empty computes here.
        consent: Agreement to send scans to `scheduler`.
        tls_files: CA, certificate and key of a scheduler that is reached by tls://.
        callbacks: on_event, on_tick and on_end of `TrainingRun`; None where nobody listens.

    Raises:
        InputError: Scans, name or settings cannot be used; said first, because no installation would mend it.
        JobError: A package is missing.
    """
    scans = _scans(labelled, task, validation)
    if minutes is not None and not minutes > 0:
        raise InputError(f"The budget must be more than 0 minutes; found {minutes}. Give a larger one, or none.")
    output = model_folder(name, task, start_model)
    _require_packages(task, scheduler)
    settings = {
        "start_model": start_model or None,
        "preset": preset,
        "minutes": minutes,
        "dims": None if start_model else dims,
        "device": device,
        "config": {**_LIVE, **(config or {})},
    }
    listening: dict[str, Any] = {key: callback for key, callback in (callbacks or {}).items() if callback is not None}
    runner = _scheduler(scheduler, consent, tls_files) if scheduler else training_runner()
    files = _start_files(start_model) if scheduler else None
    origin = RunOrigin.new(scheduler)
    return FinetuneRun(runner, task, scans, output, settings, start_files=files, origin=origin, **listening)


def start_estimate(
    *,
    task: str = "segmentation",
    start_model: str | None = None,
    classes: int = 2,
    preset: str | None = "fast",
    minutes: float | None = None,
    dims: int | None = None,
    device: str = "auto",
    config: dict[str, Any] | None = None,
    scheduler: str = "",
    consent: bool = False,
    tls_files: tuple[str, str, str] = ("", "", ""),
    on_end: Callable[[EstimateRun], None] | None = None,
) -> EstimateRun:
    """Measure a step of a finetuning with these settings; see `start_finetuning`.

    Args:
        classes: Of the labels, background included.
        on_end: Called with the run when it has ended.

    Raises:
        InputError: Settings that cannot be used.
        JobError: A package is missing, or there is no worker.
    """
    _require_packages(task, scheduler)
    from MaskWhatMattersLib.jobs.finetune_job import FinetuneEstimateSpec

    spec = FinetuneEstimateSpec(
        task=task,
        start_model=start_model or None,
        preset=preset,
        dims=None if start_model else dims,
        classes=classes,
        minutes=minutes,
        device=device,
        config=config or {},
    )
    runner = _scheduler(scheduler, consent, tls_files) if scheduler else estimate_runner()
    return EstimateRun(runner, spec, on_end, data=(_start_files(start_model) if scheduler else None,))


def model_folder(name: str, task: str, start_model: str | None = None) -> Path:
    """Where a new model of a name goes; an empty name takes task and start model with today's date.

    Raises:
        InputError: Not a name, or one that is taken.
    """
    base = Path(start_model).stem.split(f"-{task}-")[0] if start_model else ""
    return new_model_folder(name, "-".join(filter(None, (base, task))))


def _scans(labelled: Any, task: str, validation: float) -> FinetuneScans:
    """What to learn from, looked at as far as that is quick.

    Raises:
        InputError: All that is wrong, together.
    """
    if task not in TASKS:
        raise InputError(f'There is no task "{task}". Choose one of {", ".join(TASKS)}.')
    if not 0 <= validation < 1:
        raise InputError(f"The share that is held out must be from 0 to below 1; found {validation}.")
    if labelled is None:
        raise InputError("There is nothing to learn from. Add labelled scans, or choose a folder.")
    if isinstance(labelled, str | PathLike):
        return FinetuneScans((), Path(labelled), validation)
    pairs = tuple(pair if isinstance(pair, Pair) else Pair(*map(source_of, pair)) for pair in labelled)
    if task != "segmentation":
        raise InputError(f"Only segmentations can be taken from the scene. For {task}, give a folder.")
    scene = slicer.mrmlScene
    require_usable(scene, pairs, ())
    if len({is_node(pair.image) for pair in pairs}) > 1:
        raise InputError("Scans of the scene and files cannot be learned from together. Load the files first.")
    problems = class_problems(scene, pairs)
    if problems:
        raise InputError("\n".join(problems))
    return FinetuneScans(pairs, None, validation)


def _require_packages(task: str, scheduler: str) -> None:
    missing = missing_packages(() if scheduler else required_packages(task))
    if missing:
        raise JobError(
            f"Packages are missing: {', '.join(missing)}.",
            hint="Open the module Mask What Matters, tab Finetune, and press the button in its first line.",
        )


def _start_files(start_model: str | None) -> dict[str, bytes] | None:
    """Model and card as they travel to another computer; None where only that one may have them."""
    from MaskWhatMattersLib.models import find_model
    from MaskWhatMattersLib.models.card import card_path

    if not start_model:
        return None
    try:
        path = find_model(start_model)
        return {file.name: file.read_bytes() for file in (path, card_path(path))}
    except (ModelFileError, ConsentRequiredError, OSError):
        return None


def _scheduler(scheduler: str, consent: bool, tls_files: tuple[str, str, str]) -> Any:
    tls_ca, tls_cert, tls_key = tls_files
    return runner_for(scheduler, consent=consent, tls_ca=tls_ca, tls_cert=tls_cert, tls_key=tls_key)
