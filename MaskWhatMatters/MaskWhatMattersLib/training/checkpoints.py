"""Checkpoints that survive a kill at any moment, and exact resume from them."""

from __future__ import annotations

import contextlib
import os
import pickle
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric

from MaskWhatMattersLib.errors import InputError

CHECKPOINT = "checkpoint.ckpt"
_NO_PICKLE = pickle.UnpicklingError


def save_checkpoint(fabric: Fabric, state: Mapping[str, Any], folder: Path) -> None:
    """Write everything that resumes, aside first: a kill at any moment leaves the previous checkpoint whole.

    The new file reaches the disk before it takes the name, so that a power cut does not leave an empty one either. What
    a killed save left aside is overwritten. Of several processes only the first writes; all raise if it cannot.

    Args:
        fabric: Of the training.
        state: Numbers, settings under "config", and anything with `state_dict`.
        folder: Gets `CHECKPOINT`; made if need be.

    Raises:
        InputError: The folder cannot be written (disk full, no permission).
    """
    problem = _write(state, folder) if fabric.is_global_zero else None
    problem = fabric.broadcast(problem)
    if problem is not None:
        raise InputError(
            f"The checkpoint could not be written to {folder}: {problem}. The previous one is untouched; free disk "
            "space or choose another output folder, then resume."
        )


def load_checkpoint(fabric: Fabric, state: dict[str, Any], folder: Path) -> bool:
    """Fill `state` from the folder's checkpoint; False when there is none.

    Raises:
        InputError: The checkpoint was made with other settings or is broken.
    """
    file = folder / CHECKPOINT
    if not file.is_file():
        return False
    stored = read_checkpoint(folder)
    changed = sorted(_changed(stored["config"], state["config"]))
    if changed:
        raise InputError(
            f"{file} was made with other settings ({', '.join(changed)}). Use the same settings to resume, or another "
            "output folder to start anew."
        )
    for key, value in stored.items():
        if hasattr(state.get(key), "load_state_dict"):
            _fill(state[key], value, key, file)
        else:
            state[key] = value
    fabric.barrier()
    return True


def read_checkpoint(folder: Path) -> dict[str, Any]:
    """What the folder's checkpoint holds, on the processor: optimizer and networks copy to their own devices.

    Raises:
        InputError: There is no checkpoint, or it is damaged.
    """
    file = folder / CHECKPOINT
    if not file.is_file():
        raise InputError(f"There is no checkpoint in {folder} yet, so there is no model. Train for longer.")
    try:
        stored: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
        if not {"config", "step"} <= stored.keys():
            raise KeyError("config")
    # The reader of pickles trips over damaged ones in all these ways.
    except (OSError, RuntimeError, LookupError, EOFError, ValueError, TypeError, AttributeError, _NO_PICKLE) as error:
        raise InputError(
            f"{file} cannot be read ({type(error).__name__}): it is damaged or no checkpoint. Remove it to start anew, "
            "or put back a copy."
        ) from error
    return stored


def _write(state: Mapping[str, Any], folder: Path) -> str | None:
    """Write and rename; what went wrong, if anything did."""
    final, aside = folder / CHECKPOINT, folder / f"{CHECKPOINT}.part"
    stored = {key: value.state_dict() if hasattr(value, "state_dict") else value for key, value in state.items()}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with aside.open("wb") as lines:
            torch.save(stored, lines)
            lines.flush()
            os.fsync(lines.fileno())
        os.replace(aside, final)
        _sync_folder(folder)
    except (OSError, RuntimeError) as error:
        with contextlib.suppress(OSError):
            aside.unlink()
        return _cause(error)
    return None


def _sync_folder(folder: Path) -> None:
    """Make the rename itself last; only POSIX lets a folder be opened."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _cause(error: BaseException) -> str:
    """What the operating system said, which torch hides behind an error of its own about file positions."""
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, OSError):
            return str(link)
        link = link.__cause__ or link.__context__
    return str(error)


def _changed(stored: Mapping[str, Any], expected: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Dotted names of settings that differ."""
    for key in {*stored, *expected}:
        old, new = stored.get(key), expected.get(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            yield from _changed(old, new, f"{prefix}{key}.")
        elif key not in stored or key not in expected or not _same(old, new):
            yield f"{prefix}{key}"


def _same(old: Any, new: Any) -> bool:
    """Equal, where a list and a tuple of the same values are."""
    if isinstance(old, list | tuple) and isinstance(new, list | tuple):
        return len(old) == len(new) and all(_same(*pair) for pair in zip(old, new, strict=True))
    return bool(old == new)


def _fill(part: Any, value: Any, key: str, file: Path) -> None:
    try:
        part.load_state_dict(value)
    except (RuntimeError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise InputError(
            f"{file} does not fit this version: its part {key!r} cannot be loaded ({str(error).splitlines()[0]}). Use "
            "the version that made it to resume, or another output folder to start anew."
        ) from error
