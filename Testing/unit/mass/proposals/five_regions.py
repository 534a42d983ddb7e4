"""Five regions in a row, and the tree over them."""

from __future__ import annotations

import numpy as np

from MaskWhatMattersLib.mass.proposals.adjacency import find_borders
from MaskWhatMattersLib.mass.proposals.merge_tree import MergeTree, merge_regions

GREY = [0.1, 0.12, 0.5, 0.9, 0.94]


def strip(width: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Five regions in a row, and the gradient between them."""
    regions = np.repeat(np.arange(1, 6, dtype=np.int32), width)[None, None].repeat(3, 1)
    values = np.array(GREY, np.float32)[regions - 1]
    return regions, np.abs(np.gradient(values, axis=2)).astype(np.float32)


def tree_of_five() -> MergeTree:
    """Regions 0 and 1, and 3 and 4, look alike."""
    regions, edges = strip()
    return merge_regions(np.full(5, 12), np.array(GREY)[:, None], find_borders(regions, edges))


def members(tree: MergeTree, node: int) -> set[int]:
    """Regions of a node."""
    return set(np.flatnonzero((tree.rank >= tree.first[node]) & (tree.rank <= tree.last[node])).tolist())
