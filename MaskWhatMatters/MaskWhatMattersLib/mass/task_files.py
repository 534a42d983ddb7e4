"""Task files: tokens and labels of a task in one safetensors file, without any image."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from MaskWhatMattersLib.errors import InputError, ModelFileError
from MaskWhatMattersLib.mass.example import MOST_LABELS, TaskLabel
from MaskWhatMattersLib.mass.task import Task
from MaskWhatMattersLib.models.card import Sha256

SUFFIX = ".task.safetensors"
_KEY = "mass-task"
_SCALES = 3


class _Header(BaseModel):
    """What a task file says beside its tokens."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    task_version: Literal[1] = 1
    labels: tuple[TaskLabel, ...] = Field(min_length=1, max_length=MOST_LABELS)
    spacing_mm: float = Field(gt=0, allow_inf_nan=False)
    modality: str | None = None
    model: str = Field(min_length=1)
    model_sha256: Sha256
    tuned: Literal["", "tokens", "head", "full"] = ""
    notes: tuple[str, ...] = ()
    research_only: bool = False

    @model_validator(mode="after")
    def _labels_differ(self) -> Self:
        values = Counter(str(label.value) for label in self.labels)
        names = Counter(label.name for label in self.labels)
        for what, counted in (("value", values), ("name", names)):
            if twice := [each for each, count in counted.items() if count > 1]:
                raise ValueError(f"the {what} {', '.join(twice)} is there twice")
        return self


def save_task(task: Task, path: str | Path) -> Path:
    """Write a task so that it is complete or not there; images stay out.

    Args:
        task: From `InContextSegmenter.encode`, or tuned.
        path: Ends in .task.safetensors.

    Returns:
        The file.

    Raises:
        InputError: Another ending, a task that contradicts itself, or a folder that cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    path = Path(path)
    if not path.name.endswith(SUFFIX) or path.name == SUFFIX:
        raise InputError(f"A task file ends in {SUFFIX}; found {path.name}. Call it for example liver{SUFFIX}.")
    header = _header_of(task)
    tensors = {f"tokens_{scale}": np.ascontiguousarray(each, np.float32) for scale, each in enumerate(task.tokens)}
    tensors["present"] = np.ascontiguousarray(task.present, np.uint8)
    try:
        with tempfile.TemporaryDirectory(prefix=".writing-", dir=path.parent) as aside:
            written = Path(aside) / path.name
            save_file(tensors, written, metadata={_KEY: header.model_dump_json()})
            (usual := Path(aside) / "usual").touch()
            written.chmod(usual.stat().st_mode & 0o777)  # safetensors makes a file that nobody else may read
            os.replace(written, path)
    except (OSError, SafetensorError) as error:
        raise InputError(
            f"The task could not be written to {path} ({error}). Free some space, or choose another folder."
        ) from error
    return path


def read_task(path: str | Path) -> Task:
    """Read a task file.

    Raises:
        InputError: Missing, damaged, no task file, or labels or tokens that contradict each other.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    if not path.is_file():
        raise InputError(f"The task file {path} does not exist. Check the name.")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (it is no dict)
    except (SafetensorError, OSError, ValueError, TypeError) as error:  # a type that numpy does not know
        raise InputError(
            f"The task file {path} is damaged or no task file; found {path.stat().st_size} bytes ({error}). "
            "Copy it again, or make the task again from its examples."
        ) from error
    if _KEY not in metadata:
        raise InputError(
            f"{path} is no task file: it holds {', '.join(sorted(tensors)[:5]) or 'nothing'}. Choose a file that ends "
            f"in {SUFFIX}."
        )
    header = _read_header(metadata[_KEY], path)
    _check_tokens(tensors, len(header.labels), path)
    present = tensors["present"] != 0
    return Task(
        labels=header.labels,
        tokens=tuple(tensors[f"tokens_{scale}"].astype(np.float32) for scale in range(_SCALES)),
        present=present,
        spacing_mm=header.spacing_mm,
        modality=header.modality,
        model=header.model,
        model_sha256=header.model_sha256,
        tuned=header.tuned,
        notes=header.notes,
        research_only=header.research_only,
    )


def require_model(task: Task, model: str, sha256: str | None) -> None:
    """Refuse a task whose tokens another model made.

    Raises:
        ModelFileError: Names both models.
    """
    if task.model_sha256 != sha256:
        raise ModelFileError(
            f"The task was made with the model {task.model} ({task.model_sha256[:12]}), and is to be applied with "
            f"{model} ({(sha256 or 'no checksum')[:12]}). Choose the model of the task, or make the task again from "
            "its examples."
        )


def _header_of(task: Task) -> _Header:
    try:
        return _Header(
            labels=task.labels,
            spacing_mm=task.spacing_mm,
            modality=task.modality,
            model=task.model,
            model_sha256=task.model_sha256,
            tuned=task.tuned,
            notes=task.notes,
            research_only=task.research_only,
        )
    except ValidationError as error:
        raise InputError(
            f"The task cannot be written: {_explained(error)}. Make it again from its examples."
        ) from error


def _read_header(text: str, path: Path) -> _Header:
    try:
        return _Header.model_validate_json(text)
    except ValidationError as error:
        raise InputError(
            f"The task file {path} is not valid; found {_explained(error)}. Make the task again from its examples, or "
            "use a newer version of the extension if the file is newer."
        ) from error


def _explained(error: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(map(str, each['loc'])) or 'task'}: {each['msg']}" for each in error.errors(include_url=False)
    )


def _check_tokens(tensors: Mapping[str, NDArray[Any]], labels: int, path: Path) -> None:
    """Three scales of [R, K, T, C] for K labels, all finite, and which example has which label."""
    wanted = {*(f"tokens_{scale}" for scale in range(_SCALES)), "present"}
    problems = []
    if set(tensors) != wanted:
        problems.append(f"it holds {', '.join(sorted(tensors))} instead of {', '.join(sorted(wanted))}")
    else:
        shape = tensors["present"].shape
        if len(shape) != 2 or shape[1] != labels or not tensors["present"].any(0).all():
            problems.append(f"{labels} labels do not fit to examples {list(shape)}")
        for name in sorted(wanted - {"present"}):
            tokens = tensors[name]
            if tokens.ndim != 4 or tokens.shape[:2] != shape:
                problems.append(f"{name} is {list(tokens.shape)} for {list(shape)} examples and labels")
            elif not np.isfinite(tokens).all():
                problems.append(f"{name} holds values that are not finite")
    if problems:
        raise InputError(
            f"The task file {path} contradicts itself: {'; '.join(problems)}. Make the task again from its examples."
        )
