"""How scans and marks come before the MASS network."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.mass.prepare import fitting_spacing, masks_on, prepare, to_source
from MaskWhatMattersLib.mass.preprocessing import MassPreprocessing
from MaskWhatMattersLib.volumes import Volume, orient

AFFINE = np.diag([2.0, 2.0, 3.0, 1.0])


def ball(shape, centre, radius):
    squares = [np.square(np.arange(side) - middle) for side, middle in zip(shape, centre, strict=True)]
    return np.add.outer(np.add.outer(squares[0], squares[1]), squares[2]) <= radius**2


def body_in_air(modality="CT"):
    """A bright organ in a body of 120 mm in a field of 240 mm of air."""
    shape = (40, 120, 120)
    array = np.full(shape, -1000.0, np.float32)
    array += np.random.default_rng(0).normal(0, 5, shape).astype(np.float32)
    array[10:30, 30:90, 30:90] = 0
    organ = ball(shape, (20, 50, 60), 6)
    array[organ] = 200
    return Volume(array[None], AFFINE, "body", modality), Volume(organ[None].astype(np.uint8), AFFINE)


def test_a_scan_is_cut_to_its_body_and_a_margin_and_has_mean_zero_and_deviation_one():
    scan, _ = body_in_air()
    prepared = prepare(scan, MassPreprocessing(spacing_mm=3.0))
    assert prepared.is_ct
    assert prepared.volume.spacing_mm == pytest.approx((3, 3, 3))
    assert [3 * side for side in prepared.volume.spatial_shape] == pytest.approx([100, 160, 160], abs=9)
    assert float(prepared.volume.array.mean()) == pytest.approx(0, abs=1e-4)
    assert float(prepared.volume.array.std()) == pytest.approx(1, abs=1e-4)


def test_ct_is_clipped_and_the_grey_values_come_back():
    scan, _ = body_in_air()
    prepared = prepare(scan, MassPreprocessing(spacing_mm=3.0, ct_clip=(-500.0, 100.0)))
    grey = prepared.volume.array * prepared.deviation + prepared.mean
    assert grey.min() == pytest.approx(-500, abs=0.1)
    assert grey.max() == pytest.approx(100, abs=0.1)


def test_orientation_does_not_matter():
    scan, _ = body_in_air()
    preprocessing = MassPreprocessing(spacing_mm=4.0)
    straight, turned = prepare(scan, preprocessing), prepare(orient(scan, "LIP"), preprocessing)
    assert turned.volume.orientation == "RAS"
    np.testing.assert_allclose(turned.volume.array, straight.volume.array, atol=1e-3)


def test_another_spacing_may_be_asked_for():
    assert prepare(body_in_air()[0], MassPreprocessing(), spacing_mm=6.0).volume.spacing_mm == pytest.approx((6, 6, 6))


def test_a_scan_without_air_is_kept_whole():
    shape = (20, 30, 20)
    array = np.random.default_rng(1).uniform(50, 100, (1, *shape)).astype(np.float32)
    prepared = prepare(Volume(array, np.eye(4), modality="MR"), MassPreprocessing(spacing_mm=1.0))
    assert prepared.volume.spatial_shape == shape


def test_a_scan_of_one_value_is_refused():
    with pytest.raises(InputError, match="same everywhere; found the value 7 in all of its 1000"):
        prepare(Volume(np.full((1, 10, 10, 10), 7.0), np.eye(4)), MassPreprocessing())


def test_a_spacing_that_would_fill_the_memory_is_refused():
    with pytest.raises(InputError, match=r'"body" would have 1,728 million voxels of 0.1 mm; at most 1,000 million'):
        prepare(Volume(np.zeros((1, 40, 40, 40)), np.diag([3.0, 3.0, 3.0, 1.0]), "body"), MassPreprocessing(), 0.1)


def test_masks_come_to_the_prepared_voxels_and_probabilities_go_back():
    scan, mask = body_in_air()
    prepared = prepare(scan, MassPreprocessing(spacing_mm=2.5))
    moved = masks_on(prepared, orient(mask, "LPS"))
    volume_ml = float(moved.sum()) * prepared.volume.voxel_volume_ml
    assert volume_ml == pytest.approx(float(mask.array.sum()) * mask.voxel_volume_ml, rel=0.05)
    back = to_source(prepared.volume.with_array(moved.astype(np.float32)), scan) >= 0.5
    overlap = 2 * (back & mask.array[0].astype(bool)).sum() / (back.sum() + mask.array.sum())
    assert overlap > 0.9


def test_a_mask_finer_than_the_voxels_does_not_vanish():
    scan, mask = body_in_air()
    dot = np.zeros_like(mask.array)
    dot[0, 20, 50, 60] = 1
    masks = replace(mask, array=np.concatenate([dot, np.zeros_like(dot)]))
    moved = masks_on(prepare(scan, MassPreprocessing(spacing_mm=8.0)), masks)
    assert moved[0].sum() >= 1
    assert moved[1].sum() == 0


@pytest.mark.parametrize(
    ("shape", "spacing_mm", "expected"),
    [
        ((60, 120, 160), 2.0, 1.5),  # fills more than a window
        ((35, 51, 35), 1.0, 1.0),  # never finer than the scan
        ((88, 100, 128), 0.5, 1.0),  # 64 mm in 64 voxels
    ],
)
def test_a_small_field_of_view_is_looked_at_finer(shape, spacing_mm, expected):
    affine = np.diag([spacing_mm] * 3 + [1.0])
    volume = Volume(np.zeros((1, *shape), np.uint8), affine)
    assert fitting_spacing(volume, MassPreprocessing(spacing_mm=1.5), window=64) == pytest.approx(expected)
