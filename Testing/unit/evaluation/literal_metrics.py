"""The metrics once more, as slowly and literally as their definitions read: loops over voxels and over all pairs."""

from __future__ import annotations

import math
from itertools import product

import numpy as np


def random_masks(seed: int, shape: tuple[int, ...] = (5, 6, 7)) -> tuple[np.ndarray, np.ndarray]:
    """Two blobs that overlap in part, with holes, stray voxels and voxels on the edge of the array; not empty."""
    random = np.random.default_rng(seed)
    lower = random.integers(0, 3, len(shape))
    masks = []
    for _ in range(2):
        mask = random.random(shape) < 0.08
        upper = lower + random.integers(2, 5, len(shape))
        mask[tuple(slice(low, high) for low, high in zip(lower, upper, strict=True))] = True
        mask &= random.random(shape) < 0.9
        mask.flat[random.integers(mask.size)] = True
        masks.append(mask)
    return masks[0], masks[1]


def surface_voxels(mask: np.ndarray) -> list[tuple[int, ...]]:
    """Voxels of which a face neighbour is outside of the mask or of the array."""
    return [voxel for voxel in product(*map(range, mask.shape)) if mask[voxel] and not _is_inner(mask, voxel)]


def _is_inner(mask: np.ndarray, voxel: tuple[int, ...]) -> bool:
    for axis, step in product(range(mask.ndim), (-1, 1)):
        neighbour = list(voxel)
        neighbour[axis] += step
        if not 0 <= neighbour[axis] < mask.shape[axis] or not mask[tuple(neighbour)]:
            return False
    return True


def directed(start: np.ndarray, end: np.ndarray, spacing: tuple[float, ...]) -> list[float]:
    """From each surface voxel of one mask, the shortest of the distances to all surface voxels of the other."""
    targets = surface_voxels(end)
    return [
        min(
            math.sqrt(sum(((a - b) * step) ** 2 for a, b, step in zip(voxel, other, spacing, strict=True)))
            for other in targets
        )
        for voxel in surface_voxels(start)
    ]


def percentile_95(values: list[float]) -> float:
    """Linear interpolation between the two ranks around 95 %."""
    ranked = sorted(values)
    place = 0.95 * (len(ranked) - 1)
    below = int(place)
    above = min(below + 1, len(ranked) - 1)
    return ranked[below] + (place - below) * (ranked[above] - ranked[below])


def counts(prediction: np.ndarray, truth: np.ndarray) -> tuple[int, int, int]:
    """Voxels of the prediction, of the truth, and of both."""
    pairs = list(zip(prediction.ravel().tolist(), truth.ravel().tolist(), strict=True))
    return sum(p for p, _ in pairs), sum(t for _, t in pairs), sum(p and t for p, t in pairs)
