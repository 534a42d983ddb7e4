"""Affines: voxel and world, orientation letters, refusals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from MaskWhatMattersLib.errors import GeometryError
from MaskWhatMattersLib.volumes import Volume, to_ijk, to_ras
from MaskWhatMattersLib.volumes.geometry import (
    axes_of_orientation,
    checked_affine,
    direction_of,
    lps_from_ras,
    orientation_of,
    ras_from_lps,
    spacing_of,
)
from unit.volumes.grids import OBLIQUE, affines


@given(st.lists(st.tuples(*[st.floats(-600, 600)] * 3), min_size=1, max_size=4), affines())
def test_voxel_to_world_and_back_is_identity(ijk, affine):
    np.testing.assert_allclose(to_ijk(to_ras(ijk, affine), affine), ijk, atol=1e-6)


@given(affines())
def test_spacing_direction_and_origin_rebuild_the_affine(affine):
    rebuilt = np.eye(4)
    rebuilt[:3, :3] = direction_of(affine) * spacing_of(affine)
    rebuilt[:3, 3] = affine[:3, 3]
    np.testing.assert_allclose(rebuilt, affine, atol=1e-9)


@given(affines())
def test_lps_and_back_is_identity(affine):
    np.testing.assert_array_equal(ras_from_lps(lps_from_ras(affine)), affine)


def test_lps_turns_right_into_left_and_front_into_back():
    np.testing.assert_array_equal(lps_from_ras(np.eye(4)), np.diag([-1, -1, 1, 1]))


@pytest.mark.parametrize("letters", ["RAS", "LPS", "LAS", "PIR", "SLA", "AIL"])
def test_orientation_of_pure_axes_is_their_letters(letters):
    affine = np.eye(4)
    affine[:3, :3] = 0
    for column, (world, sign) in enumerate(axes_of_orientation(letters)):
        affine[world, column] = sign * 2.0
    assert orientation_of(affine) == letters


@given(affines())
def test_orientation_always_names_every_world_axis_once(affine):
    assert len(axes_of_orientation(orientation_of(affine))) == 3


@pytest.mark.parametrize("letters", ["", "RA", "RRS", "RASL", "XYZ", "RLS"])
def test_wrong_orientation_letters_are_refused(letters):
    with pytest.raises(GeometryError, match="three letters"):
        axes_of_orientation(letters)


def test_the_affine_of_a_volume_is_a_read_only_copy():
    affine = np.eye(4)
    volume = Volume(np.zeros((1, 1, 1, 1)), affine)
    affine[0, 3] = 1
    assert volume.affine[0, 3] == 0
    with pytest.raises(ValueError, match="read-only"):
        volume.affine[0, 0] = 2


def sheared(by: float) -> np.ndarray:
    affine = OBLIQUE.copy()
    affine[:3, 2] += by * affine[:3, 1]
    return affine


@pytest.mark.parametrize(
    ("affine", "message"),
    [
        (np.eye(3), "4x4"),
        (np.diag([1.0, np.nan, 1, 1]), "not finite"),
        (np.diag([1.0, np.inf, 1, 1]), "not finite"),
        (np.diag([1.0, 0, 1, 1]), "no size"),
        (np.diag([1.0, 1, 1, 2]), "last row"),
        (sheared(0.1), "sheared"),
        (np.array([[1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]), "sheared"),
    ],
)
def test_an_affine_that_no_image_has_is_refused(affine, message):
    with pytest.raises(GeometryError, match=message):
        checked_affine(affine)


def test_rounded_direction_cosines_are_not_called_a_shear():
    checked_affine(np.vstack([np.round(OBLIQUE[:3], 3), [0, 0, 0, 1]]))


def test_the_shear_message_says_the_angle():
    with pytest.raises(GeometryError, match=r"88\.\d\d degrees"):
        checked_affine(sheared(0.1))
