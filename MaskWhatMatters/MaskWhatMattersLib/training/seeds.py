"""Randomness that belongs to the step, not to the history of the process."""

from __future__ import annotations

import torch


def step_seed(seed: int, rank: int, step: int, stream: int = 0) -> int:
    """Seed of something random in one step, so that a resumed run draws what the killed one would have drawn.

    Processes are further apart than any training is long, and streams further than there are processes: none repeats
    what another drew some steps before.

    Args:
        seed: Of the training.
        rank: Of the process.
        step: Counted from 0.
        stream: One for each thing that is drawn in a step and must not depend on the others.
    """
    return (seed * 1_000_003 + rank * 15_485_863 + step + stream * 982_451_653_000_003) % (2**63 - 1)


def seed_step(seed: int, rank: int, step: int) -> int:
    """Set torch's own generators, which dropout draws from, to the seed of the step; returns that seed."""
    value = step_seed(seed, rank, step)
    torch.manual_seed(value)
    return value
