from __future__ import annotations

import numpy as np
import pytest

from MaskWhatMattersLib.mass.proposals.adjacency import find_borders
from MaskWhatMattersLib.mass.proposals.merge_tree import MergeTree, merge_regions
from MaskWhatMattersLib.mass.proposals.tree_nodes import chosen_nodes, nearest_above
from unit.mass.proposals.five_regions import members, tree_of_five


@pytest.fixture
def tree() -> MergeTree:
    return tree_of_five()


def test_chosen_nodes_have_the_wanted_size(tree):
    volume_ml = (tree.last - tree.first + 1).astype(float)
    chosen = chosen_nodes(tree, volume_ml, 2.0, 3.0, 0.9, 10)
    assert {frozenset(members(tree, node)) for node in chosen} >= {frozenset({0, 1}), frozenset({3, 4})}
    assert volume_ml[chosen].max() <= 3


def test_of_nearly_equal_nodes_the_one_that_stands_out_is_kept(tree):
    volume_ml = (tree.last - tree.first + 1).astype(float)
    chosen = chosen_nodes(tree, volume_ml, 1.0, 5.0, 0.3, 10)
    groups = [members(tree, node) for node in chosen]
    assert len(groups) == 1


def test_every_size_gets_its_share():
    random = np.random.default_rng(0)
    regions = (np.arange(1000, dtype=np.int32) + 1).reshape(10, 10, 10)
    borders = find_borders(regions, np.ones(regions.shape, np.float32))
    tree = merge_regions(np.ones(1000), random.uniform(0, 1, (1000, 1)), borders)
    volume_ml = (tree.last - tree.first + 1).astype(float)
    chosen = volume_ml[chosen_nodes(tree, volume_ml, 2.0, 900.0, 1.0, 40)]
    assert len(chosen) == 40
    assert (chosen > 50).sum() >= 8


def test_the_nearest_kept_node_above_is_found(tree):
    kept = np.array([8])
    above = nearest_above(tree.parent, kept)
    assert above[8] == -1
    assert set(above[:8].tolist()) == {0}
