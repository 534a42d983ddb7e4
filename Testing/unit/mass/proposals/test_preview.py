from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from MaskWhatMattersLib.mass.proposals.from_labels import from_label_volume, joined
from MaskWhatMattersLib.mass.proposals.preview import colour_of, overlay, overview
from unit.mass.proposals.two_organs import organs, trunk


def test_an_overview_paints_proposals_that_do_not_hide_one_another():
    large, small = organs()
    spacing = (1.0, 1.0, 1.0)
    inner = np.roll(small, 1, axis=0) & small
    sets = [from_label_volume(mask.astype(np.int32), spacing, "user") for mask in (inner, small, large)]
    shown = overview(joined(sets))
    np.testing.assert_array_equal(shown == 1, large)
    np.testing.assert_array_equal(shown == 2, small)
    assert shown.max() == 2


def test_no_more_are_painted_than_wanted():
    labels = np.arange(27, dtype=np.int32).reshape(3, 3, 3).repeat(4, 0).repeat(4, 1)
    assert overview(from_label_volume(labels, (1.0, 1.0, 1.0), "supervoxel"), most=5).max() == 5


@pytest.mark.parametrize("empty", [False, True])
def test_a_picture_shows_three_planes(empty):
    volume = trunk()
    labels = np.zeros(volume.spatial_shape, np.uint8) if empty else organs()[1].astype(np.uint8)
    picture = np.asarray(Image.open(io.BytesIO(overlay(volume, labels))))
    assert picture.shape == (384, 3 * 384 + 16, 3)
    is_coloured = (picture.max(2) - picture.min(2)) > 20
    assert is_coloured.any() != empty


def test_the_patients_right_is_on_the_left_and_the_head_on_top():
    volume = trunk()
    labels = np.zeros(volume.spatial_shape, np.uint8)
    labels[-6:, 12:20, -6:] = 1  # axes lead to the head, the front, the right
    picture = np.asarray(Image.open(io.BytesIO(overlay(volume, labels)))).astype(int)
    coronal = picture[:, 384 + 8 : 2 * 384 + 8]
    rows, columns = np.nonzero((coronal.max(2) - coronal.min(2)) > 20)
    assert rows.mean() < 100
    assert columns.mean() < 100


def test_colours_of_neighbouring_labels_differ():
    assert np.abs(np.subtract(colour_of(1), colour_of(2))).max() > 0.4
