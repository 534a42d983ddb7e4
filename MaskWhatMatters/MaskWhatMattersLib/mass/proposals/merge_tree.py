"""A tree of ever larger regions: neighbours that look alike are merged, two at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from MaskWhatMattersLib.mass.proposals.adjacency import Borders

_SIZE_POWER = 0.5
_BORDER_POWER = 2.0
_LEAST_BORDER = 0.05  # of the mean sharpness
_LEAST_DIFFERENCE = 1e-5


@dataclass(frozen=True, eq=False)
class MergeTree:
    """A binary tree, or several, over N regions; nodes 0..N-1 are the regions, and parents follow their children.

    Attributes:
        leaves: N.
        parent: Node that each one was merged into, int64 [M]; -1 for the last ones.
        cost: At which a node came to be, float64 [M]; 0 for regions.
        rank: Place of each region in an order in which every node is a contiguous range, int64 [N].
        first: Lowest rank of a node's regions, int64 [M].
        last: Highest rank, included, int64 [M].
    """

    leaves: int
    parent: NDArray[np.int64]
    cost: NDArray[np.float64]
    rank: NDArray[np.int64]
    first: NDArray[np.int64]
    last: NDArray[np.int64]


def merge_regions(voxels: NDArray[Any], means: NDArray[Any], borders: Borders) -> MergeTree:
    """Merge neighbours until none is left.

    What two regions cost is the squared difference of their means (as Ward's criterion), times their reduced size to
    the power of a half, times the squared sharpness of their border relative to the mean of all. In each round all
    pairs merge of which each is the other's cheapest neighbour. That is not quite what merging the cheapest pair first
    gives, but overlaps organs as well, in some hundred rounds of arrays instead of thousands of single steps.

    Args:
        voxels: Of each region, [N].
        means: Mean grey values of each region, [N, C].
        borders: Between the N regions.
    """
    leaves = len(voxels)
    size, mean = np.asarray(voxels, np.float64), np.asarray(means, np.float64)
    node = np.arange(leaves)  # of each region that is still there
    mean_sharpness = max(float(borders.sharpness.sum()) / max(float(borders.faces.sum()), 1.0), 1e-12)
    parents: list[NDArray[np.int64]] = [np.full(leaves, -1)]
    costs: list[NDArray[np.float64]] = [np.zeros(leaves)]
    total = leaves
    while len(borders.low):
        cost = _cost(size, mean, borders, mean_sharpness)
        merged = _mutually_cheapest(cost, borders, len(size))
        one, other = borders.low[merged], borders.high[merged]
        new = total + np.arange(len(merged))
        total += len(merged)
        everything = np.concatenate(parents)
        everything[node[one]] = everything[node[other]] = new
        parents = [everything, np.full(len(merged), -1)]
        costs.append(cost[merged])

        # The merged regions take the place of their lower half; numbers close up behind the upper halves.
        share = (size[one] / (size[one] + size[other]))[:, None]
        mean[one] = share * mean[one] + (1 - share) * mean[other]
        size[one] += size[other]
        node[one] = new
        stays = np.ones(len(size), np.bool_)
        stays[other] = False
        numbers = np.cumsum(stays) - 1
        numbers[other] = numbers[one]
        size, mean, node = size[stays], mean[stays], node[stays]
        borders = borders.renumbered(numbers)
    parent = np.concatenate(parents)
    return MergeTree(leaves, parent, np.concatenate(costs), *_ranges(parent, leaves))


def _cost(
    size: NDArray[np.float64], mean: NDArray[np.float64], borders: Borders, mean_sharpness: float
) -> NDArray[np.float64]:
    one, other = borders.low, borders.high
    difference = np.square(mean[one] - mean[other]).sum(1) + _LEAST_DIFFERENCE
    reduced = size[one] * size[other] / (size[one] + size[other])
    sharpness = borders.sharpness / borders.faces / mean_sharpness + _LEAST_BORDER
    return np.asarray(difference * reduced**_SIZE_POWER * sharpness**_BORDER_POWER)


def _mutually_cheapest(cost: NDArray[np.float64], borders: Borders, count: int) -> NDArray[np.int64]:
    """Borders that are the cheapest one of both their regions; the earlier one of equals."""
    place = np.empty(len(cost), np.int64)
    place[np.argsort(cost, kind="stable")] = np.arange(len(cost))
    cheapest = np.full(count, len(cost))
    np.minimum.at(cheapest, borders.low, place)
    np.minimum.at(cheapest, borders.high, place)
    return np.flatnonzero((cheapest[borders.low] == place) & (cheapest[borders.high] == place))


def _ranges(parent: NDArray[np.int64], leaves: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """An order of the regions that keeps every node together: rank of regions, first and last rank of nodes."""
    above = parent.tolist()
    count = [1] * leaves + [0] * (len(above) - leaves)
    for child, node in enumerate(above):
        if node >= 0:
            count[node] += count[child]
    first = [0] * len(above)
    taken = [0] * len(above)
    roots = 0
    for child in range(len(above) - 1, -1, -1):
        node = above[child]
        if node < 0:
            first[child] = roots
            roots += count[child]
        else:
            first[child] = first[node] + taken[node]
            taken[node] += count[child]
    starts = np.array(first, np.int64)
    return starts[:leaves], starts, starts + np.array(count, np.int64) - 1
