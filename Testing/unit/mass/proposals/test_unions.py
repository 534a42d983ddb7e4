from __future__ import annotations

import numpy as np
from scipy import ndimage

from MaskWhatMattersLib.mass.proposals.adjacency import find_borders
from MaskWhatMattersLib.mass.proposals.unions import random_unions

REGIONS = (np.arange(64, dtype=np.int32) + 1).reshape(4, 4, 4).repeat(2, 0).repeat(2, 1).repeat(2, 2)
BORDERS = find_borders(REGIONS, np.ones(REGIONS.shape, np.float32))


def test_unions_are_two_to_four_regions_that_hang_together():
    unions = random_unions(REGIONS, BORDERS, 6, seed=0)
    assert unions.max() == 6
    for label in range(1, 7):
        members = np.unique(REGIONS[unions == label])
        assert 2 <= len(members) <= 4
        np.testing.assert_array_equal(unions == label, np.isin(REGIONS, members))
        assert ndimage.label(unions == label)[1] == 1


def test_another_seed_unites_other_regions():
    unions = [random_unions(REGIONS, BORDERS, 6, seed) for seed in (0, 0, 1)]
    assert (unions[0] == unions[1]).all()
    assert (unions[0] != unions[2]).any()


def test_more_unions_than_regions_allow_are_not_made():
    assert 16 <= random_unions(REGIONS, BORDERS, 1000, seed=0).max() <= 32
