"""Surface distances against all pairwise distances, MONAI and a distance transform, and what they are invariant to."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.metrics import compute_average_surface_distance, compute_surface_dice
from scipy import ndimage

from MaskWhatMattersLib.errors import GeometryError
from MaskWhatMattersLib.evaluation.surface import surface, surface_distances
from unit.evaluation.literal_metrics import directed, percentile_95, random_masks, surface_voxels

SEEDS = st.integers(0, 10_000)
STEPS = st.floats(0.3, 6)
MILLIMETRES = (2.5, 0.625, 1.2)

literal = settings(max_examples=15, deadline=None)
quick = settings(max_examples=40, deadline=None)


def metrics(prediction, truth, spacing=None):
    """hd95, asd, assd and nsd at a tolerance of 1."""
    found = surface_distances(prediction, truth, spacing)
    return np.array([found.hausdorff(), found.directed_mean(), found.symmetric_mean(), found.within(1.0)])


def literal_metrics(prediction, truth, spacing):
    there, back = directed(prediction, truth, spacing), directed(truth, prediction, spacing)
    both = there + back
    near = sum(distance <= 1.0 + 1e-9 for distance in both)
    return np.array([percentile_95(both), sum(there) / len(there), sum(both) / len(both), near / len(both)])


@literal
@given(SEEDS)
def test_voxel_metrics_equal_all_pairwise_distances(seed):
    prediction, truth = random_masks(seed)
    np.testing.assert_allclose(metrics(prediction, truth), literal_metrics(prediction, truth, (1, 1, 1)), atol=1e-12)


@literal
@given(SEEDS, st.tuples(STEPS, STEPS, STEPS))
def test_metrics_in_mm_equal_all_pairwise_distances_at_any_spacing(seed, spacing):
    prediction, truth = random_masks(seed)
    expected = literal_metrics(prediction, truth, spacing)
    np.testing.assert_allclose(metrics(prediction, truth, spacing)[:3], expected[:3], atol=1e-9)


def test_surface_dice_equals_all_pairwise_distances_on_a_grid_without_ties():
    for seed in range(10):
        prediction, truth = random_masks(seed)
        expected = literal_metrics(prediction, truth, (0.71, 0.53, 0.47))[3]
        assert metrics(prediction, truth, (0.71, 0.53, 0.47))[3] == pytest.approx(expected)


@literal
@given(SEEDS)
def test_two_dimensions_equal_all_pairwise_distances(seed):
    prediction, truth = random_masks(seed, (8, 9))
    np.testing.assert_allclose(
        metrics(prediction, truth, (1.5, 0.7)), literal_metrics(prediction, truth, (1.5, 0.7)), atol=1e-9
    )


@quick
@given(SEEDS)
def test_the_surface_is_every_voxel_with_a_face_outside(seed):
    mask, _ = random_masks(seed)
    assert list(map(tuple, np.argwhere(surface(mask)))) == surface_voxels(mask)


@quick
@given(SEEDS)
def test_what_is_symmetric_does_not_change_when_the_masks_are_swapped(seed):
    prediction, truth = random_masks(seed)
    there, back = metrics(prediction, truth, MILLIMETRES), metrics(truth, prediction, MILLIMETRES)
    np.testing.assert_allclose(there[[0, 2, 3]], back[[0, 2, 3]], atol=1e-12)


@quick
@given(SEEDS, st.permutations(range(3)), st.tuples(st.booleans(), st.booleans(), st.booleans()))
def test_flips_and_axis_swaps_change_nothing(seed, order, flips):
    prediction, truth = random_masks(seed)
    turned = [np.flip(mask, np.flatnonzero(flips)).transpose(order) for mask in (prediction, truth)]
    spacing = [MILLIMETRES[axis] for axis in order]
    expected = metrics(prediction, truth, MILLIMETRES)
    np.testing.assert_allclose(metrics(*turned, spacing), expected, atol=1e-9)


@quick
@given(SEEDS)
def test_space_around_the_masks_changes_nothing(seed):
    prediction, truth = random_masks(seed)
    padded = [np.pad(mask, ((2, 1), (0, 3), (4, 0))) for mask in (prediction, truth)]
    np.testing.assert_allclose(metrics(*padded, MILLIMETRES), metrics(prediction, truth, MILLIMETRES), atol=1e-9)


@quick
@given(SEEDS)
def test_identical_masks_have_no_distance_and_full_surface_overlap(seed):
    mask, _ = random_masks(seed)
    np.testing.assert_array_equal(metrics(mask, mask, MILLIMETRES), [0, 0, 0, 1])


def test_the_percentile_is_over_both_directions_together():
    prediction, truth = np.zeros((1, 40), bool), np.zeros((1, 40), bool)
    prediction[0, 0] = True
    truth[0, :30] = True
    found = surface_distances(prediction, truth)
    assert found.hausdorff() == pytest.approx(percentile_95([0.0, *map(float, range(30))]))
    assert found.hausdorff() != pytest.approx(np.percentile(range(30), 95))


def test_the_published_mean_looks_from_the_prediction_only():
    truth = np.ones((6, 6, 6), bool)
    prediction = np.zeros_like(truth)
    prediction[0] = True
    assert surface_distances(prediction, truth).directed_mean() == 0
    assert surface_distances(truth, prediction).directed_mean() > 1


def test_a_distance_of_exactly_the_tolerance_is_within_it_whatever_the_rounding():
    prediction, truth = np.eye(1, 12, 1, dtype=bool), np.eye(1, 12, 11, dtype=bool)
    assert surface_distances(prediction, truth, (1, float(np.float32(0.1)))).within(1.0) == 1
    assert surface_distances(prediction, truth, (1, 0.101)).within(1.0) == 0


def test_one_empty_mask_gives_nan_distances_and_no_surface_overlap():
    mask, _ = random_masks(0)
    for pair in ((mask, np.zeros_like(mask)), (np.zeros_like(mask), mask)):
        np.testing.assert_array_equal(metrics(*pair), [np.nan, np.nan, np.nan, 0])


def test_two_empty_masks_give_nan_everywhere():
    assert np.isnan(metrics(np.zeros((3, 3)), np.zeros((3, 3)))).all()


@pytest.mark.parametrize("spacing", [None, MILLIMETRES])
def test_what_monai_defines_in_the_same_way_is_equal(spacing):
    prediction, truth = random_masks(5)
    tensors = [torch.from_numpy(mask)[None, None].float() for mask in (prediction, truth)]
    options = {"include_background": True, "spacing": spacing}
    expected = [
        compute_average_surface_distance(*tensors, **options).item(),
        compute_average_surface_distance(*tensors, symmetric=True, **options).item(),
        compute_surface_dice(*tensors, class_thresholds=[1.0], **options).item(),
    ]
    np.testing.assert_allclose(metrics(prediction, truth, spacing)[1:], expected, rtol=1e-6)


def test_distances_equal_a_distance_transform_of_the_whole_array():
    k, j, i = np.indices((30, 34, 38))
    prediction = (k - 13) ** 2 + (j - 16) ** 2 + (i - 20) ** 2 < 100
    truth = ((k - 15) / 1.3) ** 2 + (j - 17) ** 2 + ((i - 17) / 1.6) ** 2 < 64
    found = surface_distances(prediction, truth, MILLIMETRES)
    expected = ndimage.distance_transform_edt(~surface(truth), sampling=MILLIMETRES)[surface(prediction)]
    np.testing.assert_allclose(found.to_truth, expected, atol=1e-9)


@pytest.mark.parametrize("spacing", [(1, 1), (1, 1, 0), (1, -1, 1), (1, 1, np.nan), 1.0])
def test_a_spacing_that_is_not_one_positive_number_per_axis_is_refused(spacing):
    with pytest.raises(GeometryError, match="3 positive numbers"):
        surface_distances(np.ones((2, 2, 2)), np.ones((2, 2, 2)), spacing)
