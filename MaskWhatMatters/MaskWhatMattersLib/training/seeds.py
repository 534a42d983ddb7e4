"""Randomness that belongs to the step, not to the history of the process."""

from __future__ import annotations

import torch


def step_seed(seed: int, rank: int, step: int) -> int:
    """Seed of everything random in one step, so that a resumed run draws what the killed one would have drawn.

    Processes are further apart than any training is long: none repeats what another drew some steps before.
    """
    return (seed * 1_000_003 + rank * 15_485_863 + step) % (2**63 - 1)


def seed_step(seed: int, rank: int, step: int) -> int:
    """Set torch's own generators, which dropout draws from, to the seed of the step; returns that seed."""
    value = step_seed(seed, rank, step)
    torch.manual_seed(value)
    return value
