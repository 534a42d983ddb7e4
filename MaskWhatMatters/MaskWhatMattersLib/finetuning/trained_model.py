"""The model file of a finetuning, made of its last checkpoint, and what its card says."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from MaskWhatMattersLib.datasets.image_cases import ImageCases
from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.finetuning.config import FinetuneConfig
from MaskWhatMattersLib.models import Label, Metric, ModelCard, TrainingData, save_model
from MaskWhatMattersLib.training import runs
from MaskWhatMattersLib.training.checkpoints import CHECKPOINT
from MaskWhatMattersLib.training.run_result import RunResult
from MaskWhatMattersLib.training.runs import MODEL_FILE, OWN_DATA, RunNote

_NETWORK = "network."
_NO_VALIDATION = "There is no validation split, so nothing was selected: these are the weights of the last step."


def begin_run(folder: Path, config: FinetuneConfig, cases: ImageCases, start: ModelCard | None) -> None:
    """Note what the finetuning is about, or see that it is the one which the folder holds.

    Raises:
        InputError: The folder holds something else, or cannot be written.
    """
    parts = [f"{case.split}\n{case.name}\n{case.class_name}" for case in cases.cases]
    note = RunNote(
        cases=runs.fingerprint(parts),
        validation_cases=len(cases.of("val")),
        card=_card(folder, config, cases, start),
    )
    runs.begin_run(folder, note)


def export_model(folder: Path, notes: tuple[str, ...] = ()) -> RunResult:
    """Make the model file of a run from its checkpoint; a model that the same run made before is replaced.

    Args:
        folder: Of the run.
        notes: What the person should know, for the result.

    Raises:
        InputError: There is no checkpoint yet, it is damaged, or the folder is not that of a run.
        ModelFileError: The training has diverged, or the disk is full.
    """
    run = runs.read_run(folder)
    stored = _checkpoint(folder)
    best, test, steps = stored["best"], stored["test"], int(stored["step"])
    weights: dict[str, Tensor] = best["weights"] or {
        name.removeprefix(_NETWORK): value for name, value in stored["module"].items()
    }
    which = f"{steps} steps; best on validation after step {best['step']}" if best["step"] else f"{steps} steps"
    if not run.validation_cases:
        notes = (*notes, _NO_VALIDATION)
    card = run.card.model_copy(
        update={
            "description": f"{run.card.description} {which}.",
            "architecture": stored["card"]["architecture"],
            "config": stored["card"]["config"],
            "labels": tuple(Label.model_validate(label) for label in stored["card"]["labels"]),
            "metrics": (*_validation_metrics(best, run.validation_cases), *_test_metrics(test)),
        }
    )
    path = folder / MODEL_FILE
    save_model(weights, card, path)
    logged = runs.last_logged(folder, steps, "loss")
    values = {"loss": logged["loss"]} if logged else {}
    values |= best["scores"] | {f"test_{name}": value for name, value in test.items()}
    return RunResult(path, card.name, steps, values, notes)


def _validation_metrics(best: dict[str, Any], cases: int) -> tuple[Metric, ...]:
    protocol = (
        f"Own images of validation ({cases}) of patients that were not learned from; they selected these weights, "
        f"after step {best['step']}"
    )
    return _metrics(best["scores"], "validation", protocol)


def _test_metrics(scores: dict[str, float]) -> tuple[Metric, ...]:
    protocol = "Own test images of patients that were neither learned from nor used to select; measured once at the end"
    return _metrics(scores, "test", protocol)


def _metrics(scores: dict[str, float], split: str, protocol: str) -> tuple[Metric, ...]:
    numbers = {name: value for name, value in scores.items() if value == value}
    return tuple(
        Metric(name=f"{name}, {split}", value=round(value, 4), protocol=protocol) for name, value in numbers.items()
    )


def _checkpoint(folder: Path) -> dict[str, Any]:
    file = folder / CHECKPOINT
    if not file.is_file():
        raise InputError(f"There is no checkpoint in {folder} yet, so there is no model. Train for longer.")
    try:
        stored: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
        return {name: stored[name] for name in ("step", "module", "best", "test", "card")}
    except (OSError, RuntimeError, KeyError, EOFError, ValueError, pickle.UnpicklingError) as error:
        raise InputError(f"{file} cannot be read ({type(error).__name__}): it is damaged or no checkpoint.") from error


def _card(folder: Path, config: FinetuneConfig, cases: ImageCases, start: ModelCard | None) -> ModelCard:
    """The card without what only the training tells; it names no file and no patient."""
    used = len(cases.of("train"))
    origin = f"finetuned from {start.name} {start.version}" if start is not None else "trained from scratch"
    own = TrainingData(name=f"Own labelled images ({used})", licence=OWN_DATA, cases=max(1, used))
    return ModelCard(
        name=runs.card_name(folder),
        version=runs.card_version(),
        description=f"{config.task.capitalize()} ({config.encoder.kind}, {config.encoder.spatial_dims}D), {origin} on "
        f"{used} labelled images.",
        architecture=config.task,
        config={"encoder": config.encoder.model_dump(mode="json"), "head": config.head.model_dump(mode="json")},
        preprocessing={"image": config.preprocessing.model_dump(mode="json"), "size": list(config.size)},
        training_data=(*(start.training_data if start is not None else ()), own),
        licence=OWN_DATA if start is None else f"{OWN_DATA}; start model: {start.licence}",
        research_only=start is not None and start.research_only,
    )
