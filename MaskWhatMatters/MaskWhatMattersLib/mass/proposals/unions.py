"""Unions of a few neighbouring regions: shapes that no merging by looks comes to."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from MaskWhatMattersLib.mass.proposals.adjacency import Borders

_MOST_MEMBERS = 4


def random_unions(regions: NDArray[np.int32], borders: Borders, count: int, seed: int) -> NDArray[np.int32]:
    """Groups of two to four regions that hang together, of which no two share a region.

    Args:
        regions: Labels from 1 on without gaps, [D, H, W].
        borders: Between them.
        count: Wanted groups; fewer where the regions do not suffice.
        seed: Another one groups other regions.

    Returns:
        Labels from 1 on without gaps, 0 where there is no group, [D, H, W].
    """
    draw = np.random.default_rng(seed)
    neighbours: list[list[int]] = [[] for _ in range(int(regions.max()))]
    for low, high in zip(borders.low.tolist(), borders.high.tolist(), strict=True):
        neighbours[low].append(high)
        neighbours[high].append(low)
    group = np.zeros(len(neighbours) + 1, np.int32)  # by label
    groups = 0
    for start in draw.permutation(len(neighbours)).tolist():
        if groups == count:
            break
        members = _grown(start, neighbours, group, int(draw.integers(2, _MOST_MEMBERS + 1)), draw)
        if len(members) > 1:
            groups += 1
            group[np.array(members) + 1] = groups
    return np.asarray(group[regions])


def _grown(
    start: int, neighbours: list[list[int]], group: NDArray[np.int32], wanted: int, draw: np.random.Generator
) -> list[int]:
    """Up to so many free regions around one, each a neighbour of another; none where it is taken."""
    members = [start] if group[start + 1] == 0 else []
    while members and len(members) < wanted:
        free = sorted({near for one in members for near in neighbours[one] if group[near + 1] == 0} - set(members))
        if not free:
            break
        members.append(free[int(draw.integers(len(free)))])
    return members
