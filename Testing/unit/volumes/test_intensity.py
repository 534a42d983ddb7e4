"""Windows map intensities to 0..1."""

from __future__ import annotations

import numpy as np
import pytest

from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.volumes import CT_WINDOWS, percentile_range, percentile_window, window


def test_a_window_maps_its_ends_to_zero_and_one_and_clips():
    result = window(np.array([-2000, -1024, 0, 1024, 3000], np.int16), -1024, 1024)
    assert result.tolist() == [0, 0, 0.5, 1, 1]
    assert result.dtype == np.float32


def test_a_window_leaves_its_input_alone():
    array = np.array([1.0, 5.0], np.float32)
    window(array, 0, 2)
    assert array.tolist() == [1, 5]


def test_unsigned_intensities_do_not_wrap_around():
    assert window(np.array([0, 100], np.uint8), 50, 100).tolist() == [0, 1]


@pytest.mark.parametrize(("low", "high"), [(1, 1), (2, 1), (float("nan"), 1)])
def test_a_window_without_width_is_refused(low, high):
    with pytest.raises(InputError, match="below its high value"):
        window(np.zeros(3), low, high)


@pytest.mark.parametrize("name", CT_WINDOWS)
def test_every_ct_window_has_a_width(name):
    low, high = CT_WINDOWS[name]
    assert -1500 < low < high < 3000


def test_percentiles_leave_a_few_bright_voxels_out():
    array = np.concatenate([np.linspace(0, 1, 10_000), np.full(10, 1e6)])
    low, high = percentile_range(array)
    assert 0 <= low < 0.02
    assert high < 1.01


def test_percentiles_do_not_look_at_nan():
    assert percentile_range(np.array([np.nan, 0.0, 10.0]), 0, 100) == (0, 10)


def test_a_large_array_gives_nearly_the_same_percentiles_as_all_of_it():
    array = np.random.default_rng(0).normal(size=(3, 2048, 1024)).astype(np.float32)
    np.testing.assert_allclose(percentile_range(array), np.percentile(array, (0.5, 99.5)), atol=0.01)


def test_an_image_of_one_value_becomes_zero():
    assert percentile_window(np.full((2, 2), 7, np.int16)).tolist() == [[0, 0], [0, 0]]


def test_the_percentile_window_reaches_from_zero_to_one():
    result = percentile_window(np.random.default_rng(0).normal(size=1000))
    assert (result.min(), result.max()) == (0, 1)


def test_only_nan_has_no_window():
    with pytest.raises(InputError, match="finite voxel"):
        percentile_range(np.full(3, np.nan))


def test_percentiles_out_of_order_are_refused():
    with pytest.raises(InputError, match="lower < upper"):
        percentile_range(np.zeros(3), 99, 1)
