"""What every training loop shares: checkpoints that survive a kill, schedules, averaged weights, a log."""

from __future__ import annotations

import contextlib
import csv
import math
import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import nn

from MaskWhatMattersLib.errors import InputError

CHECKPOINT = "checkpoint.ckpt"


def due(step: int, every: int) -> bool:
    """Whether something that happens every so many steps happens now; 0 means never."""
    return every > 0 and step % every == 0


def warmup_cosine(step: int, *, warmup: int, total: int, floor: float = 0.01) -> float:
    """Factor of the learning rate: linear warm-up, then half a cosine down to `floor`."""
    if step < warmup:
        return (step + 1) / warmup
    progress = min(1.0, (step - warmup) / max(1, total - warmup))
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * progress))


def step_seed(seed: int, rank: int, step: int) -> int:
    """Seed of everything random in one step, so that a resumed run draws what the killed one would have drawn."""
    return (seed * 1_000_003 + rank * 7_919 + step) % (2**63 - 1)


class AveragedWeights:
    """Exponential moving average of a module's weights (Polyak averaging), with a warm-up of the decay."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.weights = {name: value.detach().clone() for name, value in module.state_dict().items()}

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        """Mix in the weights after `step` steps."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, value in module.state_dict().items():
            if value.is_floating_point():
                self.weights[name].lerp_(value.detach(), 1 - decay)
            else:
                self.weights[name].copy_(value)

    def state_dict(self) -> dict[str, torch.Tensor]:
        """The averaged weights."""
        return self.weights

    def load_state_dict(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Continue from saved averaged weights."""
        for name, value in weights.items():
            self.weights[name].copy_(value)


def save_checkpoint(fabric: Fabric, state: Mapping[str, Any], folder: Path) -> None:
    """Write everything that resumes, aside first: a kill at any moment leaves the previous checkpoint whole.

    Raises:
        InputError: The folder cannot be written (disk full, no permission).
    """
    final, aside = folder / CHECKPOINT, folder / f"{CHECKPOINT}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        fabric.save(aside, dict(state))
        if fabric.is_global_zero:
            os.replace(aside, final)
    except (OSError, RuntimeError) as error:
        with contextlib.suppress(OSError):
            aside.unlink()
        raise InputError(
            f"The checkpoint could not be written to {folder}: {error}. The previous one is untouched; free disk space "
            "or choose another output folder, then resume."
        ) from error


def load_checkpoint(fabric: Fabric, state: dict[str, Any], folder: Path) -> bool:
    """Fill `state` from the folder's checkpoint; False when there is none.

    Raises:
        InputError: The checkpoint was made with other settings or is broken.
    """
    file = folder / CHECKPOINT
    if not file.is_file():
        return False
    try:
        stored = fabric.load(file, weights_only=True)
        settings, expected = stored["config"], state["config"]
    except (OSError, RuntimeError, KeyError, EOFError, pickle.UnpicklingError) as error:
        raise InputError(
            f"{file} cannot be read ({type(error).__name__}): it is damaged or no checkpoint. Remove it to start anew, "
            "or put back a copy."
        ) from error
    if settings != expected:
        changed = sorted(key for key in {*settings, *expected} if settings.get(key) != expected.get(key))
        raise InputError(
            f"{file} was made with other settings ({', '.join(changed)}). Use the same settings to resume, or another "
            "output folder to start anew."
        )
    for key, value in stored.items():
        if hasattr(state.get(key), "load_state_dict"):
            state[key].load_state_dict(value)
        else:
            state[key] = value
    return True


def append_log(folder: Path, row: Mapping[str, float | int | str]) -> None:
    """Add one line to the folder's log.csv; the header comes from the first row."""
    file = folder / "log.csv"
    folder.mkdir(parents=True, exist_ok=True)
    is_new = not file.is_file()
    with file.open("a", newline="", encoding="utf-8") as lines:
        writer = csv.DictWriter(lines, fieldnames=list(row), extrasaction="ignore")
        if is_new:
            writer.writeheader()
        writer.writerow(row)
