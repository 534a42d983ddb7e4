"""A made-up trunk with two organs, small enough for tests."""

from __future__ import annotations

import numpy as np

from MaskWhatMattersLib.volumes import Volume

SHAPE = (24, 32, 32)


def organs() -> tuple[np.ndarray, np.ndarray]:
    """Where the larger and the smaller organ are, [D, H, W]."""
    k, j, i = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    large = ((k - 12) / 8) ** 2 + ((j - 15) / 7) ** 2 + ((i - 11) / 5) ** 2 <= 1
    small = ((k - 10) / 5) ** 2 + ((j - 16) / 4) ** 2 + ((i - 22) / 3) ** 2 <= 1
    return large, small


def trunk(spacing_mm: float = 4.0, modality: str | None = "MR") -> Volume:
    """A body in air with two organs and some noise, [1, D, H, W] in RAS."""
    _, j, i = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    large, small = organs()
    body = np.broadcast_to(((j - 15.5) / 14) ** 2 + ((i - 15.5) / 14) ** 2 <= 1, SHAPE)
    values = np.where(body, 100.0, 0.0)
    values[large], values[small] = 200.0, 300.0
    values = values + body * np.random.default_rng(0).normal(0, 5, SHAPE)
    return Volume(values[None].astype(np.float32), np.diag([spacing_mm] * 3 + [1.0]), modality=modality)


def dice(mask: np.ndarray, truth: np.ndarray) -> float:
    """Overlap of two masks, 0 to 1."""
    return float(2 * (mask & truth).sum() / (mask.sum() + truth.sum()))
