"""The grid of a prepared image: what lies on it, and the way back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from MaskWhatMattersLib.datasets.image_grid import back_to_source, prepare_image, prepare_marks, valid_voxels
from MaskWhatMattersLib.datasets.image_preprocessing import ImagePreprocessing
from MaskWhatMattersLib.errors import GeometryError, InputError
from MaskWhatMattersLib.volumes import Volume, orient, to_ijk, to_ras
from MaskWhatMattersLib.volumes.pictures import frontal_film_affine
from unit.volumes.grids import OBLIQUE, affines

SHAPE = (6, 7, 8)
WHOLE_RANGE = {"low_percentile": 0, "high_percentile": 100}
PLANE = ImagePreprocessing(spatial_dims=2, longest_side=16, **WHOLE_RANGE)


def noise(affine: np.ndarray = OBLIQUE, shape: tuple[int, int, int] = SHAPE, **options: object) -> Volume:
    array = np.random.default_rng(0).integers(0, 1000, (1, *shape)).astype(np.int16)
    return Volume(array, affine, name="scan", **options)


def labels_on(image: Volume) -> Volume:
    return image.with_array(np.random.default_rng(1).integers(0, 5, image.array.shape).astype(np.uint8))


@settings(max_examples=40)
@given(affines(), st.tuples(*[st.floats(0.3, 1.0)] * 3))
def test_labels_go_to_a_finer_grid_and_back_unchanged(affine, factors):
    image = noise(affine)
    finer = np.multiply(orient(image, "RAS").spacing_mm, factors)
    prepared = prepare_image(image, ImagePreprocessing(spacing_mm=tuple(finer.tolist())))
    labels = labels_on(image)
    back = back_to_source(prepare_marks(labels, prepared, "labels"), image)
    np.testing.assert_array_equal(back.array, labels.array)
    np.testing.assert_array_equal(back.affine, image.affine)


@given(affines())
def test_without_a_spacing_the_voxels_are_only_turned(affine):
    image = noise(affine)
    prepared = prepare_image(image, ImagePreprocessing(spacing_mm=None, **WHOLE_RANGE))
    turned = orient(image, "RAS")
    low, high = image.array.min(), image.array.max()
    np.testing.assert_array_equal(prepared.array, np.rint((turned.array - low) / (high - low) * 255))
    np.testing.assert_allclose(prepared.affine, turned.affine, atol=1e-9)


@settings(max_examples=40)
@given(affines(), st.tuples(*[st.floats(0.4, 3.5)] * 3))
def test_a_region_of_one_voxel_never_vanishes_and_stays_in_its_place(affine, factors):
    image = noise(affine)
    spacing_mm = np.multiply(orient(image, "RAS").spacing_mm, factors)
    prepared = prepare_image(image, ImagePreprocessing(spacing_mm=tuple(spacing_mm.tolist())))
    for kji in ((0, 0, 0), (5, 6, 7), (2, 3, 4)):
        region = np.zeros(image.array.shape, np.uint8)
        region[(0, *kji)] = 1
        found = np.argwhere(prepare_marks(image.with_array(region), prepared, "region").array[0])
        assert len(found)
        places = to_ras(found[:, ::-1], prepared.affine)
        away_mm = np.abs((places - to_ras(kji[::-1], affine)) @ prepared.direction)
        assert (away_mm <= np.maximum(prepared.spacing_mm, orient(image, "RAS").spacing_mm) + 1e-6).all()


def test_a_coarse_voxel_is_in_the_region_if_any_of_its_voxels_is():
    image = noise(np.diag([1.0, 1, 1, 1]), (4, 4, 4))
    region = np.zeros((1, 4, 4, 4), bool)
    region[0, 3, 0, 2] = True
    prepared = prepare_image(image, ImagePreprocessing(spacing_mm=(2.0, 2.0, 2.0)))
    found = prepare_marks(image.with_array(region), prepared, "region").array
    assert np.argwhere(found).tolist() == [[0, 1, 0, 1]]


def test_a_region_leaves_no_gaps_where_one_axis_gets_finer_and_another_coarser():
    image = noise(np.diag([1.0, 1, 6, 1]), (5, 12, 12))
    prepared = prepare_image(image, ImagePreprocessing(spacing_mm=(3.0, 3.0, 2.0)))
    region = np.zeros(image.array.shape, bool)
    region[0, 1:4, 5, 5] = True
    found = prepare_marks(image.with_array(region), prepared, "region").array[0]
    assert found[:, 1, 1].tolist() == [0] * 3 + [1] * 9 + [0] * 3
    assert found.sum() == 9


def test_the_end_of_a_volume_comes_back_where_the_prepared_one_is_shorter():
    image = noise(np.diag([1.0, 1, 1, 1]), (5, 5, 5))
    prepared = prepare_image(image, ImagePreprocessing(spacing_mm=(2.0, 2.0, 2.0)))
    assert prepared.spatial_shape == (2, 2, 2)
    ones = prepared.with_array(np.ones(prepared.array.shape, np.uint8))
    assert back_to_source(ones, image).array.all()


def test_a_picture_keeps_its_rows_and_columns():
    picture = noise(frontal_film_affine(), (1, 16, 12), has_physical_scale=False)
    prepared = prepare_image(picture, PLANE)
    low, high = picture.array.min(), picture.array.max()
    np.testing.assert_array_equal(prepared.array, np.rint((picture.array - low) / (high - low) * 255))
    labels = labels_on(picture)
    np.testing.assert_array_equal(prepare_marks(labels, prepared, "labels").array, labels.array)
    np.testing.assert_array_equal(back_to_source(labels, picture).array, labels.array)


@pytest.mark.parametrize(("shape", "wanted"), [((1, 40, 20), (1, 16, 8)), ((1, 5, 10), (1, 8, 16))])
def test_the_longer_side_of_a_picture_gets_the_pixels_asked_for(shape, wanted):
    picture = noise(frontal_film_affine(), shape, has_physical_scale=False)
    assert prepare_image(picture, PLANE).spatial_shape == wanted


@pytest.mark.parametrize("orientation", ["RAS", "LPS", "PIR", "SAL"])
def test_a_volume_gives_its_axial_slices_with_the_right_on_the_left(orientation):
    array = np.zeros((1, 4, 8, 10), np.int16)
    array[0, 2, 1, 7] = 100  # of an LPS volume: third slice, front, to the left of the patient
    image = orient(Volume(array, np.diag([-1.0, -1, 3, 1])), orientation)
    prepared = prepare_image(image, ImagePreprocessing(spatial_dims=2, longest_side=10, **WHOLE_RANGE))
    assert prepared.spatial_shape == (4, 8, 10)
    assert np.argwhere(prepared.array).tolist() == [[0, 2, 1, 7]]


@pytest.mark.parametrize("flat", [0, 1, 2])
def test_a_single_slice_of_any_direction_is_one_picture(flat):
    shape = [10, 12, 14]
    shape[flat] = 1
    assert prepare_image(noise(shape=tuple(shape)), PLANE).spatial_shape[0] == 1


@settings(max_examples=20)
@given(affines())
def test_slices_lead_back_to_the_volume(affine):
    image = noise(affine, (5, 6, 7))
    prepared = prepare_image(image, ImagePreprocessing(spatial_dims=2, longest_side=140, **WHOLE_RANGE))
    assert prepared.spatial_shape[0] == orient(image, "LPS").spatial_shape[0]
    labels = labels_on(image)
    np.testing.assert_array_equal(back_to_source(prepare_marks(labels, prepared, "labels"), image).array, labels.array)


def test_pixels_become_square():
    image = noise(np.diag([1.0, 2, 5, 1]), (3, 8, 16))
    prepared = prepare_image(image, PLANE)
    assert prepared.spatial_shape == (3, 16, 16)
    assert prepared.spacing_mm == pytest.approx((1, 1, 5))


def test_ct_is_shown_by_its_window_and_other_images_by_percentiles():
    array = np.linspace(-1000, 1000, 6 * 7 * 8).reshape(1, *SHAPE).astype(np.int16)
    settings = ImagePreprocessing(spacing_mm=None, ct_window_hu=(-100, 100))
    ct = prepare_image(Volume(array, np.eye(4)), settings).array
    assert ((ct == 0) == (array <= -100)).all()
    assert ((ct == 255) == (array >= 100)).all()
    mr = prepare_image(Volume(array, np.eye(4), modality="MR"), settings).array
    assert 0.45 < (mr < 128).mean() < 0.55


def test_a_picture_of_ct_is_no_ct():
    array = np.linspace(0, 255, 256).reshape(1, 1, 16, 16)
    picture = Volume(array, frontal_film_affine(), modality="CT", has_physical_scale=False)
    assert np.unique(prepare_image(picture, PLANE).array).size > 200


def test_a_ct_with_nothing_in_its_window_is_refused():
    array = np.linspace(-1000, -800, 6 * 7 * 8).reshape(1, *SHAPE)
    with pytest.raises(InputError, match="shows nothing in the window from -175 to 250 HU"):
        prepare_image(Volume(array, np.eye(4), modality="CT"), ImagePreprocessing(spacing_mm=None))


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((3, 4, 4, 4)), "one value per voxel"),
        (np.zeros((1, 1, 4, 4)), "three-dimensional"),
        (np.full((1, 4, 4, 4), np.nan), "NaN"),
        (np.full((1, 4, 4, 4), 7.0), "same everywhere"),
    ],
)
def test_what_cannot_be_prepared_is_refused(array, message):
    with pytest.raises(InputError, match=message):
        prepare_image(Volume(array, np.eye(4)), ImagePreprocessing())


def test_padding_and_a_removed_face_are_not_valid_but_single_dark_voxels_are():
    array = np.random.default_rng(0).integers(1, 1000, (1, 8, 8, 8)).astype(np.int16)
    array[0, :4] = 0
    array[0, 6, 6, 6] = 0
    valid = valid_voxels(Volume(array, np.eye(4))).array[0]
    assert not valid[:3].any()
    assert valid[3:].all()  # the last empty layer touches the image


def test_a_picture_has_neighbours_in_its_plane_only():
    array = np.full((1, 1, 6, 6), 9, np.uint8)
    array[0, 0, :3] = 0
    valid = valid_voxels(Volume(array, frontal_film_affine())).array[0, 0]
    assert valid.all(axis=1).tolist() == [False, False, True, True, True, True]


def test_bytes_are_not_lost_on_labels_that_are_none():
    image = noise()
    prepared = prepare_image(image, ImagePreprocessing())
    for wrong in (image.array / 3, image.array + 1000, image.array * 0 - 1):
        with pytest.raises(InputError, match="whole numbers from 0 to 255"):
            prepare_marks(image.with_array(wrong), prepared, "labels")


def test_a_region_that_is_turned_against_its_image_is_refused():
    image = noise()
    prepared = prepare_image(image, ImagePreprocessing())
    region = Volume(np.ones((1, *SHAPE)), np.diag([1.0, 1, 1, 1]), name="drawn")
    with pytest.raises(GeometryError, match='"drawn" does not lie on the grid'):
        prepare_marks(region, prepared, "region")


def test_the_centre_of_a_prepared_ball_stays_in_the_patient():
    k, j, i = np.indices((20, 24, 28))
    ball = ((k - 9) ** 2 + (j - 12) ** 2 + (i - 15) ** 2 < 25)[None] * np.int16(100)
    image = Volume(ball, OBLIQUE)
    prepared = prepare_image(image, ImagePreprocessing(spacing_mm=(1.1, 0.9, 1.3)))
    bright = np.argwhere(prepared.array[0] > 127)[:, ::-1].mean(0)
    centre = to_ijk(to_ras(bright, prepared.affine), image.affine)
    np.testing.assert_allclose(centre, (15, 12, 9), atol=0.3)
