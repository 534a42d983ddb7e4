from __future__ import annotations

import numpy as np

from MaskWhatMattersLib.mass.proposals.adjacency import find_borders
from unit.mass.proposals.five_regions import GREY, strip


def test_borders_count_shared_faces_and_their_gradient():
    regions, edges = strip()
    borders = find_borders(regions, edges)
    assert list(zip(borders.low, borders.high, strict=True)) == [(0, 1), (1, 2), (2, 3), (3, 4)]
    assert borders.faces.tolist() == [3.0] * 4
    np.testing.assert_allclose(borders.sharpness, 3 * np.diff(GREY) / 2, atol=1e-6)


def test_nothing_borders_on_the_background():
    regions = np.array([[[1, 0, 2]]], np.int32)
    assert not len(find_borders(regions, np.zeros((1, 1, 3), np.float32)).low)
