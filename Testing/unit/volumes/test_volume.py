"""`Volume`: what it knows about itself and what it refuses."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given

from MaskWhatMattersLib.errors import GeometryError, InputError
from MaskWhatMattersLib.volumes import Volume
from unit.volumes.grids import OBLIQUE, affines, counted


def test_a_volume_knows_its_grid():
    volume = counted()
    assert volume.spatial_shape == (4, 5, 6)
    assert volume.channels == 1
    assert volume.spacing_mm == pytest.approx((0.7, 0.7, 2.5))
    assert volume.origin_ras.tolist() == [12.5, -43.25, 101.0]
    assert volume.voxel_volume_ml == pytest.approx(0.7 * 0.7 * 2.5 / 1000)


@given(affines())
def test_the_volume_of_a_voxel_is_the_product_of_the_spacing(affine):
    volume = Volume(np.zeros((1, 2, 2, 2)), affine)
    assert volume.voxel_volume_ml == pytest.approx(np.prod(volume.spacing_mm) / 1000, rel=1e-9)


def test_direction_has_unit_columns():
    np.testing.assert_allclose(np.linalg.norm(counted().direction, axis=0), 1)


@pytest.mark.parametrize("shape", [(1, 1, 4, 4), (1, 4, 1, 4), (1, 4, 4, 1)])
def test_a_single_slice_along_any_axis_is_one(shape):
    assert Volume(np.zeros(shape), np.eye(4)).is_single_slice


def test_a_full_volume_is_not_a_single_slice():
    assert not counted().is_single_slice


def test_with_array_keeps_the_grid_and_the_name():
    volume = counted(name="scan", modality="CT")
    other = volume.with_array(np.zeros((2, 4, 5, 6), np.float32))
    assert (other.name, other.modality, other.channels) == ("scan", "CT", 2)
    np.testing.assert_array_equal(other.affine, volume.affine)


def test_with_array_refuses_another_grid():
    with pytest.raises(InputError, match=r"4, 5, 6.*\(1, 4, 5, 7\)"):
        counted().with_array(np.zeros((1, 4, 5, 7)))


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((4, 5, 6)), "four dimensions"),
        (np.zeros((2, 1, 4, 5, 6)), "four dimensions"),
        (np.zeros((1, 0, 5, 6)), "no voxels"),
        (np.zeros((1, 4, 5, 6), complex), "must be numbers"),
        (np.full((1, 1, 1, 1), "a"), "must be numbers"),
    ],
)
def test_arrays_that_are_no_volume_are_refused(array, message):
    with pytest.raises(InputError, match=message):
        Volume(array, OBLIQUE)


def test_a_sheared_affine_is_refused():
    affine = np.eye(4)
    affine[0, 1] = 0.2
    with pytest.raises(GeometryError, match="sheared"):
        Volume(np.zeros((1, 2, 2, 2)), affine)


def test_an_unknown_modality_is_refused():
    with pytest.raises(InputError, match="CT, MR, XR"):
        counted(modality="PET")


def test_a_volume_travels_to_a_worker_unchanged():
    volume = counted(name="scan", modality="MR")
    copy = pickle.loads(pickle.dumps(volume))
    np.testing.assert_array_equal(copy.array, volume.array)
    np.testing.assert_array_equal(copy.affine, volume.affine)
    assert (copy.name, copy.modality) == ("scan", "MR")
