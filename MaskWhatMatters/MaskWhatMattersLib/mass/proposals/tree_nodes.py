"""Which nodes of a merge tree become proposals."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from MaskWhatMattersLib.mass.proposals.merge_tree import MergeTree

_SIZE_CLASSES = 5


def chosen_nodes(
    tree: MergeTree, volume_ml: NDArray[np.float64], least_ml: float, most_ml: float, overlap: float, most: int
) -> NDArray[np.int64]:
    """Merged nodes that stand out: those that stay what they are while the cost of merging rises most.

    Of nodes that are nearly the same (intersection over union above `overlap`) one is kept; five classes of size, even
    on a logarithmic scale, get the same share each, as far as they have nodes.

    Args:
        tree: All nodes.
        volume_ml: Of each node, [M].
        least_ml: Smaller ones are left out.
        most_ml: Larger ones are left out.
        overlap: 0 to 1.
        most: How many are wanted.

    Returns:
        Nodes, rising.
    """
    nodes = np.arange(len(tree.parent))
    above = np.where(tree.parent >= 0, tree.parent, nodes)
    persistence = np.where(tree.parent >= 0, tree.cost[above] - tree.cost, -np.inf)
    right = (nodes >= tree.leaves) & (volume_ml >= least_ml) & (volume_ml <= most_ml)
    groups = _alike(tree.parent, volume_ml, overlap)
    candidates = nodes[right][np.lexsort((-persistence[right], groups[right]))]
    candidates = candidates[np.unique(groups[candidates], return_index=True)[1]]
    if len(candidates) <= most:
        return np.sort(candidates)
    edges = np.geomspace(least_ml, most_ml, _SIZE_CLASSES + 1)[1:-1]
    size_class = np.digitize(volume_ml[candidates], edges)
    # By rank within its class: the best of every class come first, then the second best of every class.
    order = np.lexsort((-persistence[candidates], size_class))
    within = np.arange(len(order)) - np.searchsorted(size_class[order], size_class[order])
    return np.sort(candidates[order[np.argsort(within, kind="stable")[:most]]])


def nearest_above(parent: NDArray[np.int64], kept: NDArray[np.int64]) -> NDArray[np.int64]:
    """The nearest kept node above every node, as a position in `kept`; -1 where there is none, [M]."""
    place = np.full(len(parent), -1)
    place[kept] = np.arange(len(kept))
    found = np.full(len(parent), -1)
    for node in range(len(parent) - 1, -1, -1):
        above = parent[node]
        if above >= 0:
            found[node] = place[above] if place[above] >= 0 else found[above]
    return found


def _alike(parent: NDArray[np.int64], volume_ml: NDArray[np.float64], overlap: float) -> NDArray[np.int64]:
    """A number per node, the same for nodes in one another of nearly the same size: the uppermost of them."""
    top = np.arange(len(parent))
    for node in range(len(parent) - 1, -1, -1):
        above = parent[node]
        if above >= 0 and volume_ml[node] > overlap * volume_ml[top[above]]:
            top[node] = top[above]
    return top
