"""The files of a tuning, made of its last checkpoint: the task, and a model where more than tokens learned."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.mass.example import TaskLabel
from MaskWhatMattersLib.mass.model_choice import find_mass_model
from MaskWhatMattersLib.mass.model_files import read_mass
from MaskWhatMattersLib.mass.notes import TUNE_FIRST
from MaskWhatMattersLib.mass.task import Task
from MaskWhatMattersLib.mass.task_files import SUFFIX, save_task
from MaskWhatMattersLib.mass.tune_cases import TuneCases
from MaskWhatMattersLib.mass.tune_config import MassTuneConfig
from MaskWhatMattersLib.mass.tune_result import TunedLabel, TunedTask
from MaskWhatMattersLib.mass.tuned_network import NETWORK, TOKENS
from MaskWhatMattersLib.models import Label, Metric, ModelCard, TrainingData, read_card, save_model
from MaskWhatMattersLib.models.card import card_path
from MaskWhatMattersLib.training import runs
from MaskWhatMattersLib.training.checkpoints import read_checkpoint
from MaskWhatMattersLib.training.runs import MODEL_FILE, OWN_DATA, RUN_FILE, RunNote

_FEW_FOR_FULL = 5


def begin_run(folder: Path, config: MassTuneConfig, cases: TuneCases, model: str | Path | None) -> None:
    """Note what the tuning is about, or see that it is the one which the folder holds.

    Raises:
        InputError: The folder holds something else, or cannot be written.
        ModelFileError: There is no such model.
    """
    if task_file(folder).exists() and not (folder / RUN_FILE).is_file():
        raise InputError(f"{folder} holds a task that is not from this command. Choose another output folder.")
    parts = [
        (
            place in cases.held_out,
            example.image.name,
            example.image.array.shape,
            [each.value for each in example.labels],
        )
        for place, example in enumerate(cases.examples)
    ]
    start = read_card(find_mass_model(model))
    note = RunNote(
        cases=runs.fingerprint(parts), validation_cases=len(cases.held_out), card=_card(folder, config, cases, start)
    )
    runs.begin_run(folder, note)


def task_file(folder: Path) -> Path:
    """Where a run's task lies."""
    return folder / f"{runs.card_name(folder)}{SUFFIX}"


def task_note(task: Task, cases: TuneCases) -> dict[str, Any]:
    """What a checkpoint keeps of a task beside its tokens, in types that a checkpoint may hold."""
    return {
        "labels": [label.model_dump(mode="json") for label in task.labels],
        "spacing_mm": float(task.spacing_mm),
        "modality": task.modality,
        "model": task.model,
        "model_sha256": task.model_sha256,
        "model_file": task.model_file,
        "notes": [note for note in task.notes if not note.endswith(TUNE_FIRST)],
        "research_only": task.research_only,
        "cases": len(cases.examples),
        "held_out": list(cases.held_out),
    }


def export_task(folder: Path) -> TunedTask:
    """Make the files of a run from its checkpoint; those that the same run made before are replaced.

    Raises:
        InputError: There is no checkpoint yet, it is damaged, or the folder is not that of a run.
        ModelFileError: The start model is gone, the tuning has diverged, or the disk is full.
    """
    run = runs.read_run(folder)
    stored = read_checkpoint(folder)
    try:
        note, mode, learned = stored["task"], stored["config"]["mode"], _learned(stored["tuned"])
        labels = tuple(TaskLabel.model_validate(label) for label in note["labels"])
        measured = _measured(labels, stored)
        notes = _notes(stored, measured)
        task = Task(
            labels=labels,
            tokens=tuple(_array(learned[f"{TOKENS}{scale}"]) for scale in range(len(_scales(learned)))),
            present=np.ones((1, len(labels)), np.bool_),
            spacing_mm=note["spacing_mm"],
            modality=note["modality"],
            model=note["model"],
            model_sha256=note["model_sha256"],
            model_file=note["model_file"],
            tuned=mode,
            notes=tuple(note["notes"]),
            research_only=note["research_only"],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"The checkpoint in {folder} cannot be read ({type(error).__name__}): it is of another version or damaged."
        ) from error
    model_path = None
    if mode != "tokens":
        model_path = folder / MODEL_FILE
        card = run.card.model_copy(
            update={"labels": tuple(map(_card_label, labels)), "metrics": _metrics(measured, len(note["held_out"]))}
        )
        task = _with_model(task, card, learned, model_path)
    path = save_task(task, task_file(folder))
    metrics = _last_values(folder, stored)
    return TunedTask(
        path, run.card.name, int(stored["step"]), task, model_path, measured, tuple(note["held_out"]), metrics, notes
    )


def with_files(result: TunedTask) -> TunedTask:
    """The result with the content of its files, for whoever asked from another computer."""
    paths = [result.path]
    if result.model_path is not None:
        paths += [result.model_path, card_path(result.model_path)]
    return replace(result, files={path.name: path.read_bytes() for path in paths})


def _learned(tuned: dict[str, Any]) -> dict[str, Tensor]:
    """The best weights on held-out cases; without any, the averaged or the last ones."""
    weights: dict[str, Tensor] = tuned["best"]["weights"] or tuned["averaged"] or tuned["network"]
    return weights


def _scales(learned: dict[str, Tensor]) -> list[str]:
    return [name for name in learned if name.startswith(TOKENS)]


def _array(tokens: Tensor) -> NDArray[np.float32]:
    """Tokens of one scale as those of one example, [1, K, T, C]."""
    return np.asarray(tokens.float().cpu().numpy()[None])


def _with_model(task: Task, card: ModelCard, learned: dict[str, Tensor], path: Path) -> Task:
    """Write the model that was tuned along, and let the task be one of it."""
    network, _, _ = read_mass(task.model_file)
    weights = network.state_dict()
    weights |= {name.removeprefix(NETWORK): value for name, value in learned.items() if name.startswith(NETWORK)}
    written = save_model(weights, card, path)
    return replace(task, model=f"{card.name} {card.version}", model_sha256=written.sha256 or "", model_file=str(path))


def _measured(labels: tuple[TaskLabel, ...], stored: dict[str, Any]) -> tuple[TunedLabel, ...]:
    before, after = stored["before"], stored["tuned"]["best"]["scores"]
    plain = stored["baseline"]["best"]["scores"] if "baseline" in stored else {}
    return tuple(
        TunedLabel(label, *(scores.get(str(label.value), math.nan) for scores in (before, after, plain)))
        for label in labels
    )


def _last_values(folder: Path, stored: dict[str, Any]) -> dict[str, float]:
    """The last loss, and the Dice of what is kept."""
    logged = runs.last_logged(folder, int(stored["step"]), "loss")
    values = {"loss": logged["loss"]} if logged else {}
    scores = {"dice": stored["tuned"]["best"]["scores"], "in_context_dice": stored["before"]}
    if "baseline" in stored:
        scores["baseline_dice"] = stored["baseline"]["best"]["scores"]
    return values | {name: each["dice"] for name, each in scores.items() if "dice" in each}


def _notes(stored: dict[str, Any], measured: tuple[TunedLabel, ...]) -> tuple[str, ...]:
    """What the person should know of the result."""
    note, mode, best = stored["task"], stored["config"]["mode"], stored["tuned"]["best"]
    held_out = len(note["held_out"])
    notes = []
    if not held_out:
        notes.append(
            "No case was held out, so nothing tells whether tuning helped: give three cases or more, each label in two."
        )
    else:
        cases = "1 case was" if held_out == 1 else f"{held_out} cases were"
        notes.append(
            f"{cases} held out and chose the step that is kept, so the Dice is a little too high, and says little "
            "about other scans."
        )
    if best["scores"] and best["step"] == 0 and stored["step"]:
        notes.append("Tuning did not do better than the examples alone; the task is as it was before.")
    plain = stored["baseline"]["best"]["scores"].get("dice", math.nan) if "baseline" in stored else math.nan
    if plain > best["scores"].get("dice", math.nan):
        notes.append(
            f"A plain U-Net that learned the same cases for as long does better (Dice {plain:.2f} against "
            f"{best['scores']['dice']:.2f}): train a network of your own (Finetune) rather than use this task."
        )
    if mode == "full" and note["cases"] < _FEW_FOR_FULL:
        notes.append(
            f"Everything learned from {note['cases']} cases: the network may know them by heart. Give five or more, or "
            "tune the tokens alone."
        )
    return tuple(notes)


def _metrics(measured: tuple[TunedLabel, ...], held_out: int) -> tuple[Metric, ...]:
    protocol = f"Own held-out cases ({held_out}), which chose the step; whole scan, threshold 0.5, no post-processing"
    return tuple(
        Metric(name=f"Dice, {each.label.name}", value=round(each.tuned, 4), protocol=protocol)
        for each in measured
        if not math.isnan(each.tuned)
    )


def _card_label(label: TaskLabel) -> Label:
    return Label(
        value=label.value,
        name=label.name,
        category=label.category,
        type=label.type,
        type_modifier=label.type_modifier,
    )


def _card(folder: Path, config: MassTuneConfig, cases: TuneCases, start: ModelCard) -> ModelCard:
    """The card of the tuned model without what only the end of the tuning tells; it names no file and no patient."""
    count = len(cases.learned)
    own = TrainingData(name=f"Own labelled scans ({count})", licence=OWN_DATA, cases=count)
    what = {"tokens": "tokens", "head": "tokens and classifier", "full": "everything but the task encoder"}[config.mode]
    return start.model_copy(
        update={
            "name": runs.card_name(folder),
            "version": runs.card_version(),
            "description": f"{start.name} {start.version}, tuned on {count} labelled scans ({what}); for its own task.",
            "training_data": (*start.training_data, own),
            "licence": f"{OWN_DATA}; start model: {start.licence}",
            "labels": (),
            "metrics": (),
            "sha256": None,
        }
    )
