"""The folder of a training: what it was started with, and the model file made of its last checkpoint.

The folder holds `model.safetensors` with its card, so that it is a model of its name for `find_model` when it lies in
the user's models folder. It also holds run.json, the checkpoint and log.csv.
"""

from __future__ import annotations

import csv
import datetime
import hashlib
import json
import os
import re
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from MaskWhatMattersLib.corn.cards import LABELS
from MaskWhatMattersLib.corn.config import CornTrainingConfig
from MaskWhatMattersLib.corn.network import ARCHITECTURE
from MaskWhatMattersLib.corn.train import trained_network
from MaskWhatMattersLib.corn.training_result import TrainedModel as TrainedModel
from MaskWhatMattersLib.datasets.training_cases import CornCases
from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.models import BUNDLED_FOLDER, Metric, ModelCard, TrainingData, save_model
from MaskWhatMattersLib.training.checkpoints import CHECKPOINT
from MaskWhatMattersLib.training.logs import LOG

MODEL_FILE = "model.safetensors"
_RUN_FILE = "run.json"
_OWN_DATA = "your own data"


class _Run(BaseModel):
    """What has to stay the same when a training goes on, and what its model's card will say."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cases: str
    validation_cases: int
    card: ModelCard


def free_folder(wanted: Path) -> Path:
    """The folder itself, or with -2, -3, ... where a model or anything else has that name already."""
    for number in range(1, 10_000):
        folder = wanted if number == 1 else wanted.with_name(f"{wanted.name}-{number}")
        beside = [place / f"{folder.name}.safetensors" for place in (folder.parent, BUNDLED_FOLDER)]
        is_used = folder.exists() and (not folder.is_dir() or any(folder.iterdir()))
        if not is_used and not any(path.exists() for path in beside):
            return folder
    raise InputError(f"All names from {wanted.name} to {wanted.name}-9999 are taken. Choose another name.")


def begin_run(folder: Path, config: CornTrainingConfig, cases: CornCases, start: ModelCard | None) -> None:
    """Note what the training is about, or see that it is the one which the folder holds.

    Raises:
        InputError: The folder holds something else, or cannot be written.
    """
    run = _Run(
        cases=_fingerprint(cases),
        validation_cases=len(cases.validation),
        card=_card(folder, config, cases, start),
    )
    before = _read_run(folder)
    if not (folder / MODEL_FILE).exists() and not (folder / CHECKPOINT).exists():
        # Nothing was learned here yet: whoever corrects what a first try complained about may use the folder again.
        _write_run(folder, run)
        return
    if before is None:
        raise InputError(
            f"{folder} holds a model or a checkpoint that is not from this command. Choose another output folder; "
            "nothing was changed."
        )
    if before.cases != run.cases:
        raise InputError(
            f"{folder} holds a training on other scans, or with other roles. Give the same scans to go on with it, or "
            "another output folder to start anew."
        )
    if _origin(before.card) != _origin(run.card):
        raise InputError(
            f"{folder} holds a training from another start model. Give the same one to go on with it, or another "
            "output folder to start anew."
        )


def export_model(folder: Path) -> TrainedModel:
    """Make the model file of a run from its checkpoint; a model that the same run made before is replaced.

    Raises:
        InputError: There is no checkpoint yet, it is damaged, or the folder is not that of a run.
        ModelFileError: The training has diverged, or the disk is full.
    """
    run = _read_run(folder)
    if run is None:
        raise InputError(f"{folder} is not the folder of a training: it has no {_RUN_FILE}. Choose the right one.")
    network, config, steps = trained_network(folder)
    scored = _last_score(folder, steps)
    metrics: tuple[Metric, ...] = ()
    if scored is not None:
        protocol = (
            f"Mean over own scans ({run.validation_cases}) whose labels were not learned from; main branch, whole scan "
            f"at {config.preprocessing.spacing_mm:g} mm, no post-processing, weights after step {scored[0]}"
        )
        metrics = (Metric(name="Dice, left atrium", value=round(scored[1], 4), protocol=protocol),)
    which = f"averaged weights (decay {config.decay:g})" if config.decay else "last weights"
    description = f"{run.card.description} {steps} steps, {which}."
    card = run.card.model_copy(update={"description": description, "metrics": metrics})
    path = folder / MODEL_FILE
    save_model(network.state_dict(), card, path)
    return TrainedModel(path, card.name, steps, scored[1] if scored else None, run.validation_cases)


def _card(folder: Path, config: CornTrainingConfig, cases: CornCases, start: ModelCard | None) -> ModelCard:
    """The card without what only the end of the training tells; it names no file and no patient."""
    used = len(cases.labelled) + (len(cases.unlabelled) if config.uses_unlabelled else 0)
    counts = f"{len(cases.labelled)} labelled and {used - len(cases.labelled)} unlabelled scans"
    origin = f"adapted from {start.name} {start.version}" if start is not None else "trained from scratch"
    extra = " with the accuracy layer" if config.accuracy_layer else ""
    own = TrainingData(name=f"Own scans ({counts.removesuffix(' scans')})", licence=_OWN_DATA, cases=used)
    return ModelCard(
        name=_card_name(folder),
        version=datetime.datetime.now().astimezone().strftime("%Y.%m.%d"),
        description=f"Left atrium in MR, {origin} on {counts}; mode {config.mode}{extra}.",
        architecture=ARCHITECTURE,
        config=config.network.model_dump(mode="json"),
        preprocessing=config.preprocessing.model_dump(mode="json"),
        labels=LABELS,
        training_data=(*(start.training_data if start is not None else ()), own),
        licence=_OWN_DATA if start is None else f"{_OWN_DATA}; start model: {start.licence}",
        research_only=start is not None and start.research_only,
    )


def _card_name(folder: Path) -> str:
    """The folder's name in the letters that a model's name may have."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", folder.resolve().name).strip("-._")
    return plain or "model"


def _origin(card: ModelCard) -> object:
    """The part of a card that tells the start model; the last data set is the run's own."""
    return card.training_data[:-1], card.licence, card.config, card.preprocessing


def _fingerprint(cases: CornCases) -> str:
    """The same for the same names in the same roles, without telling the names."""
    roles = [f"{role}\n{case.name}\n{case.foreground}" for role, case in cases.with_roles()]
    return hashlib.sha256("\n".join(roles).encode("utf-8", "surrogatepass")).hexdigest()


def _read_run(folder: Path) -> _Run | None:
    try:
        return _Run.model_validate_json((folder / _RUN_FILE).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValidationError, UnicodeDecodeError) as error:
        raise InputError(
            f"{folder / _RUN_FILE} cannot be used ({type(error).__name__}): it is damaged, or of another version. "
            "Choose another output folder."
        ) from error


def _write_run(folder: Path, run: _Run) -> None:
    aside = folder / f"{_RUN_FILE}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        aside.write_text(json.dumps(run.model_dump(mode="json"), indent=2) + "\n", encoding="utf-8")
        os.replace(aside, folder / _RUN_FILE)
    except OSError as error:
        raise InputError(
            f"The output folder {folder} cannot be written to: {error.strerror or error}. Choose a folder that you may "
            "write to, on a disk with free space."
        ) from error


def _last_score(folder: Path, steps: int) -> tuple[int, float] | None:
    """Step and Dice of the last validation up to a step; None where there was none."""
    file = folder / LOG
    if not file.is_file():
        return None
    with file.open(newline="", encoding="utf-8") as lines:
        # Some methods have a loss of the name "dice"; only validation gives that of both branches.
        scored = [row for row in csv.DictReader(lines) if row.get("dice_auxiliary")]
    rows = [(int(row["step"]), float(row["dice"])) for row in scored]
    return max((row for row in rows if row[0] <= steps), default=None)
