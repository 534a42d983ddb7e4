"""What the networks see of a scan, and that a label map lies on the same voxels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from MaskWhatMattersLib.corn.preprocessing import (
    ScanPreprocessing,
    normalise,
    prepare_label_map,
    prepare_scan,
)
from MaskWhatMattersLib.corn.report import ReviewLimits
from MaskWhatMattersLib.errors import GeometryError, InputError
from MaskWhatMattersLib.volumes import Volume, orient

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def noise(shape: tuple[int, ...] = (8, 10, 12), affine: np.ndarray = LPS, seed: int = 0) -> Volume:
    array = np.random.default_rng(seed).integers(0, 1000, (1, *shape)).astype(np.int16)
    return Volume(array, affine, name="scan")


def test_a_scan_of_the_wanted_spacing_is_only_turned_and_windowed() -> None:
    volume = noise()
    prepared = prepare_scan(volume, ScanPreprocessing(spacing_mm=1.0, low_percentile=0, high_percentile=100))
    assert (prepared.orientation, prepared.array.dtype, prepared.name) == ("RAS", np.uint8, "scan")
    turned = orient(volume, "RAS")
    np.testing.assert_allclose(prepared.affine, turned.affine)
    low, high = volume.array.min(), volume.array.max()
    np.testing.assert_array_equal(prepared.array, np.rint((turned.array - low) / (high - low) * 255))


def test_every_orientation_gives_the_networks_the_same_voxels() -> None:
    volume = noise(affine=np.diag([0.8, 0.8, 1.6, 1.0]))
    wanted = prepare_scan(volume, ScanPreprocessing(spacing_mm=0.8))
    for orientation in ("LPS", "PIR", "SAL"):
        found = prepare_scan(orient(volume, orientation), ScanPreprocessing(spacing_mm=0.8))
        np.testing.assert_array_equal(found.array, wanted.array)
        np.testing.assert_allclose(found.affine, wanted.affine, atol=1e-9)


def test_half_the_resolution_is_the_mean_of_two_by_two_by_two() -> None:
    volume = orient(noise((8, 8, 8)), "RAS")
    prepared = prepare_scan(volume, ScanPreprocessing(spacing_mm=2.0, low_percentile=0, high_percentile=100))
    means = volume.array[0].reshape(4, 2, 4, 2, 4, 2).mean((1, 3, 5))
    wanted = (means - means.min()) / (means.max() - means.min()) * 255
    np.testing.assert_allclose(prepared.array[0], wanted, atol=0.51)


def test_a_fine_pattern_does_not_become_a_coarse_one() -> None:
    array = np.zeros((1, 24, 24, 24), np.float32)
    array[..., ::3] = 300.0  # every third voxel along i: nothing of it may be left at four times the spacing
    array[:, :12] += 100.0
    prepared = prepare_scan(Volume(array, np.eye(4)), ScanPreprocessing(spacing_mm=4.0))
    rows = prepared.array[0].astype(float)
    assert rows[:, :, 1:-1].std(axis=2).max() < 0.25 * rows.std()


def test_the_same_value_everywhere_is_refused_by_name() -> None:
    volume = Volume(np.full((1, 4, 4, 4), 7), np.eye(4), name="blank")
    with pytest.raises(InputError, match=r'"blank".*value 7'):
        prepare_scan(volume, ScanPreprocessing())


def test_one_bright_voxel_in_a_dark_scan_stays_visible() -> None:
    array = np.full((1, 10, 10, 10), 50.0)
    array[0, 5, 5, 5] = 10.0
    prepared = prepare_scan(Volume(array, np.eye(4)), ScanPreprocessing(spacing_mm=1.0))
    assert (prepared.array.min(), prepared.array.max()) == (0, 255)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((3, 4, 4, 4)), "one value per voxel"),
        (np.zeros((1, 1, 4, 4)), "three-dimensional"),
        (np.full((1, 4, 4, 4), np.nan), "NaN"),
    ],
)
def test_what_is_no_scan_is_refused(array: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        prepare_scan(Volume(array, np.eye(4)), ScanPreprocessing())


@pytest.mark.parametrize("spacing_mm", [0.6, 1.0, 1.7, 2.5])
def test_a_label_map_lies_on_the_voxels_of_its_prepared_scan(spacing_mm: float) -> None:
    affine = np.array([[0.9, 0.1, 0, 5], [-0.1, 0.9, 0, 6], [0, 0, 1.5, 7], [0, 0, 0, 1.0]])
    volume = noise((16, 24, 26), affine)
    k, j, i = np.indices(volume.spatial_shape)
    ball = (((k - 7.5) * 1.7) ** 2 + (j - 12) ** 2 + (i - 13) ** 2 < 100).astype(np.uint8)[None]
    scan = prepare_scan(volume, ScanPreprocessing(spacing_mm=spacing_mm))
    labels = prepare_label_map(volume.with_array(ball), scan, ScanPreprocessing(spacing_mm=spacing_mm))
    assert (labels.spatial_shape, labels.array.dtype) == (scan.spatial_shape, np.uint8)
    np.testing.assert_array_equal(labels.affine, scan.affine)
    wanted_ml = ball.sum() * volume.voxel_volume_ml
    assert labels.array.sum() * labels.voxel_volume_ml == pytest.approx(wanted_ml, rel=0.05)


def test_only_label_one_counts() -> None:
    volume = noise((8, 8, 8))
    labels = volume.with_array(np.where(volume.array > 500, 2, 1).astype(np.uint8))
    settings = ScanPreprocessing(spacing_mm=1.0)
    prepared = prepare_label_map(labels, prepare_scan(volume, settings), settings)
    np.testing.assert_array_equal(prepared.array, orient(volume, "RAS").array <= 500)


@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_a_label_map_of_another_grid_is_refused(shift: float) -> None:
    volume, affine = noise(), LPS.copy()
    affine[0, 3] += shift
    shape = (1, 8, 10, 12) if shift else (1, 8, 10, 11)
    labels = Volume(np.ones(shape, np.uint8), affine, name="traced")
    settings = ScanPreprocessing(spacing_mm=1.0)
    with pytest.raises(GeometryError, match='"traced" must lie on the grid'):
        prepare_label_map(labels, prepare_scan(volume, settings), settings)


def test_each_image_gets_mean_zero_and_spread_one() -> None:
    grey = torch.randint(0, 256, (2, 1, 4, 5, 6), dtype=torch.uint8)
    values = normalise(grey)
    assert values.dtype == torch.float32
    torch.testing.assert_close(values.mean((-3, -2, -1)), torch.zeros(2, 1), atol=1e-5, rtol=0)
    torch.testing.assert_close(values.std((-3, -2, -1), correction=0), torch.ones(2, 1))
    torch.testing.assert_close(values[1], normalise(grey[1]))


def test_a_constant_image_becomes_zero() -> None:
    assert not normalise(torch.full((1, 3, 3, 3), 9)).any()


def test_percentiles_must_be_in_order_and_names_known() -> None:
    with pytest.raises(ValidationError, match="must be below"):
        ScanPreprocessing(low_percentile=60, high_percentile=40)
    with pytest.raises(ValidationError, match="extra"):
        ScanPreprocessing(spacing=1.0)  # type: ignore[call-arg]


def test_settings_survive_a_model_card() -> None:
    settings = ScanPreprocessing(spacing_mm=1.25, review=ReviewLimits(min_agreement=0.9))
    assert ScanPreprocessing.model_validate(settings.model_dump(mode="json")) == settings
