"""Start a training from the panel or the console: what cannot work is refused here, before anything is begun."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import slicer

from MaskWhatMattersLib.bridge.adapt_cases import Pair, source_of
from MaskWhatMattersLib.bridge.adapt_checks import require_usable
from MaskWhatMattersLib.bridge.corn_adapt_run import AdaptCases, CornAdaptRun
from MaskWhatMattersLib.bridge.jobs import training_runner
from MaskWhatMattersLib.bridge.new_models import new_model_folder
from MaskWhatMattersLib.bridge.setup import missing_packages
from MaskWhatMattersLib.errors import InputError, JobError

PACKAGES = ("torch", "monai", "safetensors", "lightning_fabric")
"""Import names of what training needs, beside what every job needs."""

_LIVE = {"log_every": 2, "validate_every": 25, "save_every": 50}
"""Steps between points of the curves and between checkpoints: someone watches, and one may take seconds."""


def start_adaptation(
    labelled: Iterable[Any],
    unlabelled: Iterable[Any] = (),
    *,
    start_model: str | None = None,
    minutes: float = 30,
    mode: str = "ours",
    device: str = "auto",
    name: str = "",
    config: dict[str, Any] | None = None,
    callbacks: dict[str, Callable[[Any], None] | None] | None = None,
) -> CornAdaptRun:
    """Start a training on a worker of its own.

    Args:
        labelled: Pairs of volume and segmentation or label map, as nodes or as files; a third value names a segment.
        unlabelled: Volume nodes or files.
        start_model: Name or file of the model to adapt; None trains from scratch.
        minutes: Budget for the steps.
        mode: Method; without unlabelled scans always "supervised".
        device: "auto", "cpu", "cuda" or "mps".
        name: Of the model; empty takes one with today's date.
        config: Fields of `CornTrainingConfig`, for researchers and tests.
        callbacks: on_event, on_tick and on_end of `CornAdaptRun`; None where nobody listens.

    Raises:
        InputError: Scans, name or budget cannot be used; said first, because no installation would mend it.
        JobError: A package is missing.
    """
    cases = AdaptCases(
        tuple(pair if isinstance(pair, Pair) else Pair(*map(source_of, pair)) for pair in labelled),
        tuple(source_of(one) for one in unlabelled),
    )
    require_usable(slicer.mrmlScene, cases.labelled, cases.unlabelled)
    if not minutes > 0:
        raise InputError(f"The budget must be more than 0 minutes; found {minutes}. Give a larger one.")
    output = model_folder(name, start_model)
    missing = missing_packages(PACKAGES)
    if missing:
        raise JobError(
            f"Packages are missing: {', '.join(missing)}.",
            hint="Open the module Corn Segmentation and press the button in its first line.",
        )
    settings = {
        "mode": method(mode, cases.unlabelled),
        "start_model": start_model or None,
        "minutes": minutes,
        "device": device,
        "small_without_gpu": True,
        "config": {**_LIVE, **(config or {})},
    }
    listening: dict[str, Any] = {key: callback for key, callback in (callbacks or {}).items() if callback is not None}
    return CornAdaptRun(training_runner(), cases, output, settings, **listening)


def method(mode: str, unlabelled: Sequence[str]) -> str:
    """The method that can be used: all but one learn from unlabelled scans."""
    return mode if unlabelled else "supervised"


def model_folder(name: str, start_model: str | None = None) -> Path:
    """Where a new model of a name goes: a folder of its own among the user's models.

    Args:
        name: As typed; empty takes that of the start model with today's date, made unique.
        start_model: The model that is adapted.

    Raises:
        InputError: Not a name, or one that is taken.
    """
    base = Path(start_model).stem if start_model else "left-atrium"
    return new_model_folder(name, f"{base.split('-site-')[0]}-site")
