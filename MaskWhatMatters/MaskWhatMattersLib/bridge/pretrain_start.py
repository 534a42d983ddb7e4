"""Start a pretraining or its estimate: what cannot work is refused here, before anything is begun."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import slicer

from MaskWhatMattersLib.bridge.adapt_cases import is_node, repeated_scans, require_node, source_of
from MaskWhatMattersLib.bridge.jobs import estimate_runner, runner_for, training_runner
from MaskWhatMattersLib.bridge.new_models import new_model_folder
from MaskWhatMattersLib.bridge.nodes import require_voxels, world_from_parent
from MaskWhatMattersLib.bridge.paused_runs import RunOrigin, forget_pause, paused_origin
from MaskWhatMattersLib.bridge.pretrain_run import PretrainRun
from MaskWhatMattersLib.bridge.pretrain_settings import required_packages
from MaskWhatMattersLib.bridge.setup import missing_packages
from MaskWhatMattersLib.bridge.training_estimate import EstimateRun
from MaskWhatMattersLib.bridge.training_run import CHECKPOINT, MODEL_FILE
from MaskWhatMattersLib.errors import InputError, JobError


def start_pretraining(
    images: Any,
    settings: Mapping[str, Any],
    *,
    name: str = "",
    resume: bool = False,
    scheduler: str = "",
    consent: bool = False,
    tls_files: tuple[str, str, str] = ("", "", ""),
    callbacks: Mapping[str, Callable[[Any], None] | None] | None = None,
) -> PretrainRun:
    """Start a pretraining on a worker of its own, or on a scheduler.

    Args:
        images: Nodes or files, or one folder or manifest.
        settings: From `training_settings`.
        name: Of the model; empty takes one with today's date.
        resume: Go on with the paused pretraining of that name.
        scheduler: Address of a Dask scheduler; empty computes here.
        consent: Agreement to send scans to `scheduler`.
        tls_files: CA, certificate and key of a scheduler that is reached by tls://.
        callbacks: on_event, on_tick and on_end of `TrainingRun`; None where nobody listens.

    Raises:
        InputError: Images, name or settings cannot be used; said first, because no installation would mend it.
        JobError: A package is missing.
    """
    chosen = _images(images, is_remote=bool(scheduler))
    output = paused_folder(name, scheduler) if resume else model_folder(name, settings["method"])
    origin = (paused_origin(output) if resume else None) or RunOrigin.new(scheduler)
    method, dims, preset = settings["method"] or "mae", settings["dims"] or 3, settings["preset"] or ""
    missing = missing_packages(() if scheduler else required_packages(method, dims, preset))
    if missing:
        raise JobError(
            f"Packages are missing: {', '.join(missing)}.",
            hint="Open the module Mask What Matters, tab Pretrain, and press the button in its first line.",
        )
    listening: dict[str, Any] = {key: callback for key, callback in (callbacks or {}).items() if callback is not None}
    runner = _runner(scheduler, consent, tls_files) if scheduler else training_runner()
    return PretrainRun(runner, chosen, output, dict(settings), origin=origin, resumed=resume, **listening)


def start_estimate(
    settings: Mapping[str, Any],
    *,
    images: int = 0,
    scheduler: str = "",
    consent: bool = False,
    tls_files: tuple[str, str, str] = ("", "", ""),
    on_end: Callable[[EstimateRun], None] | None = None,
) -> EstimateRun:
    """Measure a step of a pretraining with made-up images.

    Args:
        settings: From `training_settings`.
        images: How many there are; 0 when that is not known.
        scheduler: Where it will run; empty measures here.
        consent: Agreement to use `scheduler`.
        tls_files: CA, certificate and key.
        on_end: Called with the run at its end.

    Raises:
        InputError: Settings or address cannot be used.
        JobError: A package is missing.
    """
    from MaskWhatMattersLib.jobs.pretrain_job import PretrainEstimateSpec

    runner = _runner(scheduler, consent, tls_files) if scheduler else estimate_runner()
    return EstimateRun(runner, PretrainEstimateSpec(images=images, **settings), on_end)


def model_folder(name: str, method: str | None) -> Path:
    """Where a new model of a name goes; an empty name takes the method with today's date.

    Raises:
        InputError: Not a name, or one that is taken.
    """
    return new_model_folder(name, f"{method or 'mae'}-encoder")


def paused_folder(name: str, scheduler: str) -> Path:
    """The folder of a paused pretraining.

    Args:
        name: Of the model.
        scheduler: Where it shall go on; empty for this computer.

    Raises:
        InputError: There is none of that name, or it was paused elsewhere.
    """
    from MaskWhatMattersLib.models.places import default_user_folder

    folder = default_user_folder() / name
    known, is_here = paused_origin(folder), (folder / CHECKPOINT).is_file()
    if not name or not (is_here or (known is not None and known.scheduler)):
        raise InputError(f'There is no paused pretraining "{name}". Give the name of one, or start a new one.')
    place = known.scheduler if known is not None else ""
    if place != scheduler:
        raise InputError(f"It was paused on {place or 'this computer'}: choose that under Advanced.")
    return folder


def finish_paused(name: str) -> Path | None:
    """Give up going on with a paused pretraining: its model stays, its checkpoint goes.

    Returns:
        The model file; None where there is none.
    """
    from MaskWhatMattersLib.models.places import default_user_folder

    folder = default_user_folder() / name
    model = folder / MODEL_FILE
    if model.is_file():
        forget_pause(folder)
        (folder / CHECKPOINT).unlink(missing_ok=True)
        return model
    return None


def _images(images: Any, *, is_remote: bool) -> Path | list[str]:
    """Images that can be used, as far as that is quick to tell.

    Raises:
        InputError: All that is wrong, together.
    """
    if isinstance(images, str | PathLike):
        folder = Path(images)
        if not is_remote and not folder.exists():
            raise InputError(f"There is no folder {folder}. Choose a folder of images or a manifest.")
        return folder
    sources = [source_of(one) for one in ([images] if hasattr(images, "GetID") else images or [])]
    if not sources:
        raise InputError("There is nothing to learn from; found no image. Tick scans of the scene, or name a folder.")
    scene, problems = slicer.mrmlScene, []
    for source in sources:
        try:
            if is_node(source):
                require_voxels(require_node(scene, source))
                world_from_parent(scene.GetNodeByID(source))
            elif not Path(source).exists():
                problems.append(f"The file {source} does not exist.")
        except InputError as error:
            problems.append(str(error))
    problems += repeated_scans(scene, (), sources)
    if problems:
        raise InputError("\n".join(problems))
    return sources


def _runner(scheduler: str, consent: bool, tls_files: tuple[str, str, str]) -> Any:
    tls_ca, tls_cert, tls_key = tls_files
    return runner_for(scheduler, consent=consent, tls_ca=tls_ca, tls_cert=tls_cert, tls_key=tls_key)
