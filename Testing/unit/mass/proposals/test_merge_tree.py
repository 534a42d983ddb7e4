from __future__ import annotations

import numpy as np
import pytest

from MaskWhatMattersLib.mass.proposals.adjacency import find_borders
from MaskWhatMattersLib.mass.proposals.merge_tree import MergeTree, merge_regions
from unit.mass.proposals.five_regions import members, tree_of_five


@pytest.fixture
def tree() -> MergeTree:
    return tree_of_five()


def test_neighbours_that_look_alike_merge_first(tree):
    nodes = [members(tree, node) for node in range(5, len(tree.parent))]
    assert nodes[:2] == [{0, 1}, {3, 4}] or nodes[:2] == [{3, 4}, {0, 1}]
    assert nodes[-1] == {0, 1, 2, 3, 4}


def test_every_node_is_a_range_and_holds_its_children(tree):
    assert len(tree.parent) == 9
    assert sorted(tree.rank) == [0, 1, 2, 3, 4]
    for child, parent in enumerate(tree.parent[:-1]):
        assert parent > child
        assert members(tree, child) < members(tree, parent)
    assert tree.parent[-1] == -1


def test_parts_that_do_not_touch_keep_trees_of_their_own():
    regions = np.array([[[1, 2, 0, 3, 4]]], np.int32)
    tree = merge_regions(np.ones(4), np.zeros((4, 1)), find_borders(regions, np.ones((1, 1, 5), np.float32)))
    assert [members(tree, node) for node in np.flatnonzero(tree.parent < 0)] == [{0, 1}, {2, 3}]


def test_one_region_is_a_tree_of_one():
    tree = merge_regions(np.ones(1), np.zeros((1, 1)), find_borders(np.ones((1, 1, 2), np.int32), np.ones((1, 1, 2))))
    assert tree.parent.tolist() == [-1]


def test_what_merges_was_the_cheapest_neighbour_of_both():
    means = np.array([[0.0], [0.3], [0.4], [0.6]])
    regions = np.array([[[1, 2, 3, 4]]], np.int32)
    tree = merge_regions(np.ones(4), means, find_borders(regions, np.ones((1, 1, 4), np.float32)))
    assert [members(tree, node) for node in (4, 5, 6)] == [{1, 2}, {1, 2, 3}, {0, 1, 2, 3}]
    assert tree.cost[4] < tree.cost[5]


def test_a_sharp_border_is_merged_last():
    means = np.array([[0.0], [0.15], [0.2]])
    regions = np.array([[[1, 1, 2, 2, 3, 3]]], np.int32)
    edges = np.array([[[0, 0.1, 0.1, 0.9, 0.9, 0]]], np.float32)
    tree = merge_regions(np.ones(3), means, find_borders(regions, edges))
    assert members(tree, 3) == {0, 1}
