"""Orient, crop and pad: no value changes, nothing moves in the patient."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from MaskWhatMattersLib.errors import GeometryError
from MaskWhatMattersLib.volumes import crop, crop_around, orient, pad, resample_like, to_ijk, to_ras
from unit.volumes.grids import counted, volumes

ORIENTATIONS = st.sampled_from(("RAS", "LPS", "LAS", "PIR", "ASL", "IRP", "SAR"))


@given(volumes(), ORIENTATIONS)
def test_orienting_there_and_back_is_identical(volume, orientation):
    back = orient(orient(volume, orientation), volume.orientation)
    np.testing.assert_array_equal(back.array, volume.array)
    np.testing.assert_allclose(back.affine, volume.affine, atol=1e-9)


@given(volumes(), ORIENTATIONS)
def test_the_grid_of_the_source_brings_an_oriented_volume_back(volume, orientation):
    back = resample_like(orient(volume, orientation), volume, "nearest", fill=0)
    np.testing.assert_array_equal(back.array, volume.array)


@given(volumes(), ORIENTATIONS)
def test_the_result_has_the_orientation_asked_for(volume, orientation):
    assert orient(volume, orientation).orientation == orientation


@given(volumes(dtypes=("int32",)), st.data())
def test_a_voxel_keeps_its_place_in_the_patient(volume, data):
    oriented = orient(volume, "RAS")
    kji = tuple(data.draw(st.integers(0, length - 1)) for length in volume.spatial_shape)
    place = to_ras(kji[::-1], volume.affine)
    i, j, k = np.round(to_ijk(place, oriented.affine)).astype(int)
    assert oriented.array[0, k, j, i] == volume.array[(0, *kji)]


@given(volumes(), ORIENTATIONS)
def test_millilitres_do_not_change(volume, orientation):
    assert orient(volume, orientation).voxel_volume_ml == pytest.approx(volume.voxel_volume_ml, rel=1e-12)


@given(volumes(), ORIENTATIONS)
def test_spacing_goes_with_its_axis(volume, orientation):
    assert sorted(orient(volume, orientation).spacing_mm) == pytest.approx(sorted(volume.spacing_mm))


def test_an_oriented_volume_keeps_its_name():
    assert orient(counted(name="scan", modality="MR"), "LPS").name == "scan"


def test_crop_takes_the_box_and_moves_the_origin():
    volume = counted()
    part = crop(volume, (1, 2, 0), (4, 5, 3))
    np.testing.assert_array_equal(part.array, volume.array[:, 0:3, 2:5, 1:4])
    np.testing.assert_allclose(part.origin_ras, to_ras((1, 2, 0), volume.affine))


@given(volumes(), st.lists(st.integers(0, 3), min_size=6, max_size=6))
def test_crop_undoes_pad(volume, widths):
    before, after = widths[:3], widths[3:]
    padded = pad(volume, before, after, value=1)
    back = crop(padded, before, np.add(before, volume.spatial_shape[::-1]))
    np.testing.assert_array_equal(back.array, volume.array)
    np.testing.assert_allclose(back.affine, volume.affine, atol=1e-9)


@pytest.mark.parametrize(("lower", "upper"), [((0, 0, 0), (7, 5, 4)), ((-1, 0, 0), (6, 5, 4)), ((2, 2, 2), (2, 3, 3))])
def test_a_box_outside_of_the_volume_is_refused(lower, upper):
    with pytest.raises(GeometryError, match=r"\(6, 5, 4\) voxels"):
        crop(counted(), lower, upper)


@pytest.mark.parametrize("lower", [(0, 0), (0.5, 0, 0)])
def test_indices_that_are_not_three_whole_numbers_are_refused(lower):
    with pytest.raises(GeometryError, match="three whole numbers"):
        crop(counted(), lower, (6, 5, 4))


def test_negative_padding_is_refused():
    with pytest.raises(GeometryError, match="Use crop"):
        pad(counted(), (0, -1, 0), (0, 0, 0))


def test_orient_refuses_an_unknown_orientation():
    with pytest.raises(GeometryError, match="'up'"):
        orient(counted(), "up")


@given(volumes(), volumes(), st.floats(0, 20))
def test_a_crop_around_a_box_of_another_grid_holds_all_of_it_that_is_there(volume, grid, margin_mm):
    box = tuple(slice(0, max(1, length // 2)) for length in grid.spatial_shape)
    part = crop_around(volume, box, grid, margin_mm)
    places = np.stack(np.meshgrid(*[np.arange(length) for length in volume.spatial_shape[::-1]]), axis=-1)
    in_box = to_ijk(to_ras(places, volume.affine), grid.affine)
    upper = np.array([side.stop for side in reversed(box)]) - 0.5
    wanted = places[((in_box > -0.5) & (in_box < upper)).all(-1)]
    kept = to_ijk(to_ras(wanted, volume.affine), part.affine)
    assert ((kept > -0.01) & (kept < np.array(part.spatial_shape[::-1]) - 0.99)).all()


def test_a_crop_around_a_box_is_no_larger_than_it_needs_to_be():
    volume = counted(12, 12, 12)
    box = (slice(2, 4), slice(5, 6), slice(0, 3))
    np.testing.assert_array_equal(crop_around(volume, box, volume).array[0], volume.array[0][box])
    wider = crop_around(volume, box, volume, margin_mm=min(volume.spacing_mm))
    assert wider.spatial_shape == (4, 3, 4)
