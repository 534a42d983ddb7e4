"""Values of label maps, found and replaced."""

from __future__ import annotations

import numpy as np
import pytest

from MaskWhatMattersLib.volumes.label_values import whole_values, with_values


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.float32, np.float64])
def test_values_are_found_as_by_sorting(dtype):
    labels = np.random.default_rng(0).choice([0, 0, 3, 7, 104], (5, 6, 7)).astype(dtype)
    assert whole_values(labels, 255) == np.unique(labels).tolist()


def test_values_far_apart_and_below_zero_are_found():
    assert whole_values(np.array([[-2, -2, 0], [5, 5, 5]], np.int16), 255) == [-2, 0, 5]
    assert whole_values(np.array([0, 2_000_000_000, 7], np.int64), 255) == [0, 7, 2_000_000_000]
    assert whole_values(np.zeros((0, 3), np.uint8), 255) == []


def test_values_beyond_one_slab_are_found():
    labels = np.zeros((1 << 21) + 10, np.uint8)
    labels[-1], labels[1 << 20] = 9, 4
    assert whole_values(labels, 255) == [0, 4, 9]


@pytest.mark.parametrize("labels", [[0.0, 1.5], [0.0, np.nan], [0.0, np.inf], np.arange(300.0), np.arange(300) * 1e6])
def test_what_is_no_label_map_has_no_values(labels):
    assert whole_values(np.asarray(labels), 255) is None


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
def test_values_are_replaced_and_others_left_out(dtype):
    labels = np.array([[0, 1, 2], [7, 2, 100]], dtype)
    np.testing.assert_array_equal(with_values(labels, {2: 1, 7: 2}), [[0, 0, 1], [2, 1, 0]])


def test_background_can_be_replaced_and_halves_are_nothing():
    np.testing.assert_array_equal(with_values(np.array([0, 1, -3], np.int16), {0: 5, -3: 2}), [5, 0, 2])
    np.testing.assert_array_equal(with_values(np.array([0.0, 1.5, 2.0, np.nan]), {1: 3, 2: 4}), [0, 0, 4, 0])


def test_values_far_apart_are_replaced():
    np.testing.assert_array_equal(with_values(np.array([1, 2_000_000_000]), {1: 1, 2_000_000_000: 2}), [1, 2])
    assert not with_values(np.ones(3, np.uint8), {}).any()
