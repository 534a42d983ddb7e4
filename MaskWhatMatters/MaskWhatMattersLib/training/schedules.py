"""What changes with the step: learning rates, and things that happen every so often."""

from __future__ import annotations

import math
from typing import Literal, get_args

from torch.optim import Optimizer

Schedule = Literal["constant", "poly", "cosine"]


def due(step: int, every: int) -> bool:
    """Whether something that happens every so many steps happens now; 0 means never."""
    return every > 0 and step % every == 0


def poly(step: int, *, total: int, power: float = 0.9) -> float:
    """Factor (1 - step / total)^power of the learning rate, 0 at the end (DeepLab, arXiv:1606.00915, section 4.1)."""
    return float((1 - min(step, total) / total) ** power)


def warmup_cosine(step: int, *, warmup: int, total: int, floor: float = 0.01) -> float:
    """Factor of the learning rate: linear warm-up, then half a cosine down to `floor`."""
    if step < warmup:
        return (step + 1) / warmup
    progress = min(1.0, (step - warmup) / max(1, total - warmup))
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * progress))


def schedule_factor(schedule: Schedule, step: int, *, total: int, warmup: int = 0) -> float:
    """Factor of the learning rate at a step, counted from 0.

    "constant" and "poly" are multiplied by a linear warm-up, so that "poly" ends at the same step with and without one;
    "cosine" is `warmup_cosine`.

    Raises:
        ValueError: No such schedule.
    """
    if schedule == "cosine":
        return warmup_cosine(step, warmup=warmup, total=total)
    if schedule not in get_args(Schedule):
        raise ValueError(f"No schedule is called {schedule!r}; there are {', '.join(get_args(Schedule))}.")
    warmed = min(1.0, (step + 1) / warmup) if warmup else 1.0
    return warmed * (poly(step, total=total) if schedule == "poly" else 1.0)


def set_learning_rate(optimizer: Optimizer, learning_rate: float) -> None:
    """Use one learning rate for all parameters from now on."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate
