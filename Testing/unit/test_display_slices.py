from __future__ import annotations

import itertools

import numpy as np
import pytest

from MaskWhatMattersLib.display_slices import DisplaySlices
from MaskWhatMattersLib.volumes import Volume, orient

ORIENTATIONS = [
    "".join(axes) for order in itertools.permutations(("RL", "AP", "SI")) for axes in itertools.product(*order)
]


def _volume(spacing: tuple[float, float, float] = (1, 1, 1), shape: tuple[int, int, int] = (4, 5, 6)) -> Volume:
    """Voxels that count up along R, then A, then S."""
    array = np.arange(np.prod(shape), dtype=np.float32).reshape(1, *shape)
    return Volume(array, np.diag([*spacing, 1.0]))


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_the_view_does_not_depend_on_how_voxels_are_stored(orientation):
    expected = DisplaySlices(_volume())
    stored = DisplaySlices(orient(_volume(), orientation))
    for index in range(len(expected)):
        np.testing.assert_array_equal(stored.picture(index), expected.picture(index))


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_pictures_go_back_to_where_they_came_from(orientation):
    volume = orient(_volume(), orientation)
    slices = DisplaySlices(volume)
    pictures = np.stack([slices.picture(index) for index in range(len(slices))])
    back = slices.volume_of(pictures)
    np.testing.assert_array_equal(back.array, volume.array)
    np.testing.assert_array_equal(back.affine, volume.affine)


def test_the_patients_right_is_on_the_left_and_anterior_on_top():
    picture = DisplaySlices(_volume()).picture(0)
    right_anterior_inferior = _volume().array[0, 0, -1, -1]
    assert picture[0, 0] == right_anterior_inferior


@pytest.mark.parametrize(("spacing", "axis"), [((1, 1, 1), 0), ((1, 1, 5), 0), ((1, 4, 1), 1), ((3, 1, 1), 2)])
def test_thick_slices_are_shown_as_acquired(spacing, axis):
    assert DisplaySlices(_volume(spacing)).axis == axis


def test_superior_is_on_top_of_a_coronal_view():
    slices = DisplaySlices(_volume((1, 4, 1)))
    assert slices.picture(0)[0].max() > slices.picture(0)[-1].max()


def test_a_single_slice_is_shown_as_it_is():
    assert len(DisplaySlices(_volume(shape=(4, 1, 6)))) == 1
    assert DisplaySlices(_volume(shape=(4, 1, 6))).picture(0).shape == (4, 6)


def test_a_pixels_size_follows_the_view():
    assert DisplaySlices(_volume((2, 3, 20))).pixel_mm == pytest.approx((3, 2))
