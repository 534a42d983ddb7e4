"""The folder of a training: what it was started with, and a free name for it.

Whatever is trained, its folder holds `model.safetensors` with its card, so that it is a model of its name for
`find_model` when it lies in the user's models folder. It also holds run.json, the checkpoint and log.csv.
"""

from __future__ import annotations

import csv
import datetime
import hashlib
import json
import os
import re
from collections.abc import Iterable
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.models import BUNDLED_FOLDER, ModelCard
from MaskWhatMattersLib.training.checkpoints import CHECKPOINT
from MaskWhatMattersLib.training.logs import LOG

MODEL_FILE = "model.safetensors"
RUN_FILE = "run.json"
OWN_DATA = "your own data"


class RunNote(BaseModel):
    """What has to stay the same when a training goes on, and what its model's card will say."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cases: str
    validation_cases: int = 0
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


def begin_run(folder: Path, run: RunNote) -> None:
    """Note what the training is about, or see that it is the one which the folder holds.

    Raises:
        InputError: The folder holds something else, or cannot be written.
    """
    before = _read(folder)
    if not (folder / MODEL_FILE).exists() and not (folder / CHECKPOINT).exists():
        # Nothing was learned here yet: whoever corrects what a first try complained about may use the folder again.
        _write(folder, run)
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


def read_run(folder: Path) -> RunNote:
    """What `begin_run` noted.

    Raises:
        InputError: The folder is not that of a training, or its note is damaged.
    """
    run = _read(folder)
    if run is None:
        raise InputError(f"{folder} is not the folder of a training: it has no {RUN_FILE}. Choose the right one.")
    return run


def card_name(folder: Path) -> str:
    """The folder's name in the letters that a model's name may have."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", folder.resolve().name).strip("-._")
    return plain or "model"


def card_version() -> str:
    """Today, as the version of a model that a person trains."""
    return datetime.datetime.now().astimezone().strftime("%Y.%m.%d")


def fingerprint(parts: Iterable[object]) -> str:
    """The same for the same names in the same roles, without telling the names."""
    return hashlib.sha256("\n".join(map(str, parts)).encode("utf-8", "surrogatepass")).hexdigest()


def last_logged(folder: Path, steps: int, marker: str) -> dict[str, float]:
    """The last row of log.csv up to a step with a value for `marker`: step and values by name; empty without one."""
    file = folder / LOG
    if not file.is_file():
        return {}
    with file.open(newline="", encoding="utf-8") as lines:
        rows = [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(lines)]
    known = [row for row in rows if marker in row and row["step"] <= steps]
    return max(known, key=lambda row: row["step"], default={})


def _origin(card: ModelCard) -> object:
    """The part of a card that tells the start model; the last data set is the run's own."""
    return card.training_data[:-1], card.licence, card.config, card.preprocessing


def _read(folder: Path) -> RunNote | None:
    try:
        return RunNote.model_validate_json((folder / RUN_FILE).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValidationError, UnicodeDecodeError) as error:
        raise InputError(
            f"{folder / RUN_FILE} cannot be used ({type(error).__name__}): it is damaged, or of another version. "
            "Choose another output folder."
        ) from error


def _write(folder: Path, run: RunNote) -> None:
    aside = folder / f"{RUN_FILE}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        aside.write_text(json.dumps(run.model_dump(mode="json"), indent=2) + "\n", encoding="utf-8")
        os.replace(aside, folder / RUN_FILE)
    except OSError as error:
        raise InputError(
            f"The output folder {folder} cannot be written to: {error.strerror or error}. Choose a folder that you may "
            "write to, on a disk with free space."
        ) from error
