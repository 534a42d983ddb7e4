"""Resampling: right on oblique grids, and the way back."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from MaskWhatMattersLib.errors import GeometryError, InputError
from MaskWhatMattersLib.volumes import Volume, crop, orient, pad, resample_like, resample_to_spacing, to_ras, to_source
from unit.volumes.grids import OBLIQUE, affines, counted, volumes


def ramp(shape: tuple[int, int, int], affine: np.ndarray) -> Volume:
    """A volume whose intensity is a linear function of the place in the patient."""
    k, j, i = np.meshgrid(*map(np.arange, shape), indexing="ij")
    return Volume(intensity_at(to_ras(np.stack([i, j, k], -1), affine))[np.newaxis], affine)


def intensity_at(ras: np.ndarray) -> np.ndarray:
    return np.asarray(ras @ (0.5, -1.25, 2.0) + 7)


@given(affines(reach_mm=50), affines(reach_mm=0))
def test_linear_is_exact_for_a_linear_image_on_any_two_grids(affine, other):
    source = ramp((24, 24, 24), affine)
    middle = to_ras((11.5, 11.5, 11.5), affine)
    other = other @ np.diag([0.05, 0.05, 0.05, 1])  # small enough to lie inside
    other[:3, 3] = middle - other[:3, :3] @ (1.5, 1.5, 1.5)
    reference = ramp((4, 4, 4), other)
    inside = resample_like(source, reference, "linear", fill=float("nan"))
    np.testing.assert_allclose(inside.array, reference.array, atol=1e-3)


@given(volumes(), st.tuples(*[st.floats(0.2, 1.0)] * 3))
def test_nearest_to_a_finer_grid_and_back_is_identical(volume, factors):
    finer = resample_to_spacing(volume, np.multiply(volume.spacing_mm, factors), "nearest")
    back = resample_like(finer, volume, "nearest")
    np.testing.assert_array_equal(back.array, volume.array)
    np.testing.assert_array_equal(back.affine, volume.affine)


@given(volumes(), st.floats(0.3, 6))
def test_the_new_grid_has_the_spacing_and_keeps_the_first_corner(volume, spacing_mm):
    result = resample_to_spacing(volume, spacing_mm)
    pairs = zip(volume.spacing_mm, volume.spatial_shape[::-1], strict=True)
    wanted = [old if length == 1 else spacing_mm for old, length in pairs]
    assert result.spacing_mm == pytest.approx(wanted)
    corner = to_ras((-0.5, -0.5, -0.5), volume.affine)
    np.testing.assert_allclose(to_ras((-0.5, -0.5, -0.5), result.affine), corner, atol=1e-6)


def test_resampling_to_its_own_spacing_changes_nothing():
    volume = counted()
    same = resample_to_spacing(volume, volume.spacing_mm, "nearest")
    np.testing.assert_array_equal(same.array, volume.array)


def test_a_constant_image_stays_constant_up_to_its_border():
    volume = Volume(np.full((1, 5, 5, 5), 3, np.int16), OBLIQUE)
    assert np.unique(resample_to_spacing(volume, 0.9).array).tolist() == [3]


def test_a_voxel_larger_than_the_image_holds_its_nearest_value():
    volume = Volume(np.full((1, 2, 2, 2), 3, np.int16), np.diag([0.5, 0.5, 0.5, 1]))
    assert resample_to_spacing(volume, 6.0).array.tolist() == [[[[3.0]]]]


@pytest.mark.parametrize("shift", [0.01, 0.3, 0.5, 0.9])
def test_a_grid_shifted_by_a_part_of_a_voxel_is_interpolated(shift):
    source = ramp((6, 6, 6), np.eye(4))
    reference = ramp((4, 4, 4), np.eye(4) + shifted(1 + shift))
    np.testing.assert_allclose(resample_like(source, reference).array, reference.array, atol=1e-4)


@pytest.mark.parametrize(
    ("dtype", "linear"), [("int16", "float32"), ("float64", "float64"), ("bool", "float32"), ("float16", "float32")]
)
def test_linear_gives_floats_and_nearest_keeps_the_type(dtype, linear):
    volume = Volume(np.ones((1, 4, 4, 4), dtype), OBLIQUE)
    assert resample_to_spacing(volume, 1.1).array.dtype == linear
    assert resample_to_spacing(volume, 1.1, "nearest").array.dtype == dtype


def test_channels_are_resampled_one_by_one():
    volume = Volume(np.stack([np.full((4, 4, 4), 1.0), np.full((4, 4, 4), 2.0)]), OBLIQUE)
    result = resample_to_spacing(volume, 1.0)
    assert [np.unique(channel).tolist() for channel in result.array] == [[1], [2]]


def test_fill_stands_where_the_grid_leaves_the_volume():
    volume = counted()
    wide = resample_like(volume, pad(volume, (1, 0, 2), (0, 3, 0)), "nearest", fill=-1024)
    np.testing.assert_array_equal(wide.array, pad(volume, (1, 0, 2), (0, 3, 0), value=-1024).array)


def test_fill_stands_outside_of_a_grid_that_does_not_coincide():
    far = Volume(np.zeros((1, 2, 2, 2)), OBLIQUE + shifted(1000.3))
    assert np.unique(resample_like(counted(), far, "linear", fill=-7).array).tolist() == [-7]


def shifted(by_mm: float) -> np.ndarray:
    shift = np.zeros((4, 4))
    shift[0, 3] = by_mm
    return shift


def test_grids_far_apart_that_coincide_give_fill_only():
    volume = counted(affine=np.eye(4))
    far = Volume(volume.array, np.eye(4) + shifted(100))
    assert np.unique(resample_like(volume, far, "nearest", fill=5).array).tolist() == [5]


def test_a_cropped_part_returns_to_its_place():
    volume = counted()
    part = crop(orient(volume, "LPS"), (1, 1, 1), (4, 4, 3))
    back = resample_like(part, volume, "nearest", fill=-1)
    inside = back.array != -1
    assert inside.sum() == part.array.size
    np.testing.assert_array_equal(back.array[inside], volume.array[inside])


@given(volumes())
def test_nearest_keeps_the_millilitres_of_a_mask_on_an_oriented_grid(volume):
    mask = volume.with_array((volume.array % 2).astype(np.uint8))
    back = resample_like(orient(mask, "RAS"), volume, "nearest")
    assert back.array.sum() * back.voxel_volume_ml == pytest.approx(mask.array.sum() * mask.voxel_volume_ml)


@pytest.mark.parametrize("spacing_mm", [0, -1, float("nan"), (1, 2), (1, 0, 1), float("inf")])
def test_a_spacing_that_is_no_length_is_refused(spacing_mm):
    with pytest.raises(GeometryError, match="positive numbers in mm"):
        resample_to_spacing(counted(), spacing_mm)


def test_a_grid_beyond_any_memory_is_refused():
    with pytest.raises(GeometryError, match="larger spacing"):
        resample_to_spacing(counted(), 1e-4)


def test_an_unknown_interpolation_is_refused():
    with pytest.raises(InputError, match="'cubic'"):
        resample_like(counted(), counted(), "cubic")


@pytest.mark.parametrize(("dtype", "fill"), [("uint8", -1), ("uint8", 0.5), ("int16", 40_000), ("bool", 2)])
def test_a_fill_that_the_type_cannot_hold_is_refused(dtype, fill):
    volume = Volume(np.ones((1, 2, 2, 2), dtype), OBLIQUE)
    with pytest.raises(InputError, match="does not fit"):
        resample_like(volume, volume, "nearest", fill=fill)


def test_a_volume_of_128_cubed_is_resampled_within_a_second():
    volume = Volume(np.zeros((1, 128, 128, 128), np.float32), OBLIQUE)
    start = time.perf_counter()
    resample_to_spacing(volume, (0.7, 0.7, 2.0))
    assert time.perf_counter() - start < 1.0


def test_a_direction_with_almost_zeros_does_not_push_everything_outside():
    affine = np.eye(4)
    affine[0, :3] = (-1.0, -2.15684159927656e-310, -3.0461261026062e-310)
    affine[1, :3] = (0.0, 0.27949101232715345, 0.9601483083505084)
    affine[2, :3] = (4.6958207018497e-310, -0.9601483083505084, 0.27949101232715345)
    source = ramp((24, 24, 24), affine)
    other = np.diag([-0.05, -0.05, -0.05, 1.0])
    other[:3, 3] = to_ras((11.5, 11.5, 11.5), affine)
    inside = resample_like(source, ramp((4, 4, 4), other), "linear", fill=float("nan"))
    assert np.isfinite(inside.array).all()


def test_outside_the_nearest_voxel_may_be_repeated():
    volume = counted(affine=np.eye(4))
    wider = pad(volume, (2, 0, 1), (0, 3, 0))
    found = resample_like(volume, wider, "nearest", fill=None).array
    np.testing.assert_array_equal(found, np.pad(volume.array, ((0, 0), (1, 0), (0, 3), (2, 0)), mode="edge"))


def test_values_on_a_coarser_grid_reach_the_border_of_the_image():
    image = counted(30, 32, 32, np.eye(4))
    coarse = np.eye(4) * [4, 4, 4, 1]
    coarse[:3, 3] = 1.5
    values = to_source(Volume(np.ones((1, 7, 8, 8), np.float32), coarse), image)
    assert values.shape == image.spatial_shape
    np.testing.assert_allclose(values, 1)
