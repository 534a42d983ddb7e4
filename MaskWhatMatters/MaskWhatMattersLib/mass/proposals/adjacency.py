"""Which regions touch, and how sharp the borders between them are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Borders:
    """E pairs of regions that share faces of voxels.

    Attributes:
        low: The region with the lower number of each pair, [E].
        high: The other one, [E].
        faces: Faces that they share, float64 [E].
        sharpness: Sum of the gradient over these faces, float64 [E].
    """

    low: NDArray[np.int64]
    high: NDArray[np.int64]
    faces: NDArray[np.float64]
    sharpness: NDArray[np.float64]

    def renumbered(self, numbers: NDArray[np.int64]) -> Borders:
        """The same borders after regions were merged: pairs that are now alike are added up.

        Args:
            numbers: New number of every region.
        """
        one, other = numbers[self.low], numbers[self.high]
        return added_up(one, other, self.faces, self.sharpness)


def find_borders(regions: NDArray[np.int32], gradient: NDArray[np.float32]) -> Borders:
    """Borders between neighbouring regions.

    Args:
        regions: Labels from 1 on, 0 is nothing, [D, H, W]; region n of the result is label n + 1.
        gradient: Magnitude of the image's gradient, [D, H, W]; a face has that of its sharper voxel.
    """
    pairs: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]] = []
    for axis in range(3):
        labels, sharp = np.moveaxis(regions, axis, 0), np.moveaxis(gradient, axis, 0)
        before, after = labels[:-1], labels[1:]
        touch = (before != after) & (before > 0) & (after > 0)
        face = np.maximum(sharp[:-1][touch], sharp[1:][touch]).astype(np.float64)
        pairs.append((before[touch].astype(np.int64) - 1, after[touch].astype(np.int64) - 1, face))
    one, other, face = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
    return added_up(one, other, np.ones(len(face)), face)


def added_up(
    one: NDArray[np.int64], other: NDArray[np.int64], faces: NDArray[np.float64], sharpness: NDArray[np.float64]
) -> Borders:
    """Borders of which each pair of regions has one, none with itself."""
    low, high = np.minimum(one, other), np.maximum(one, other)
    apart = np.flatnonzero(low != high)
    if not apart.size:
        nothing = np.zeros(0)
        return Borders(low[:0], high[:0], nothing, nothing)
    pair = low[apart] * (int(high.max()) + 1) + high[apart]
    order = apart[np.argsort(pair, kind="stable")]
    low, high = low[order], high[order]
    starts = np.flatnonzero(np.concatenate([[True], (np.diff(low) != 0) | (np.diff(high) != 0)]))
    return Borders(
        low[starts], high[starts], np.add.reduceat(faces[order], starts), np.add.reduceat(sharpness[order], starts)
    )
