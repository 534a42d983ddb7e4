"""Made-up surroundings."""

from __future__ import annotations

import numpy as np
import pytest

from MaskWhatMattersLib.corn.surroundings import embed
from MaskWhatMattersLib.errors import InputError


@pytest.fixture
def scan() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    image = random.integers(40, 120, (10, 16, 20)).astype(np.uint8)
    labels = np.zeros_like(image)
    labels[3:7, 5:11, 6:14] = 1
    image[labels > 0] = 240
    return image, labels


def test_the_scan_lies_unchanged_in_the_middle_of_its_place(scan):
    result = embed(*scan, (14, 40, 48), np.random.default_rng(1))
    inside = tuple(slice(start + 2, start + side - 2) for start, side in zip(result.corner, (10, 16, 20), strict=True))
    np.testing.assert_array_equal(result.image[inside], scan[0][2:-2, 2:-2, 2:-2])


def test_labels_are_where_the_scan_is_and_nowhere_else(scan):
    result = embed(*scan, (14, 40, 48), np.random.default_rng(1))
    assert result.labels.sum() == scan[1].sum()
    k, j, i = np.argwhere(result.labels).min(0) - np.argwhere(scan[1]).min(0)
    assert (k, j, i) == result.corner


def test_no_copy_of_the_atrium_is_left_in_the_surroundings(scan):
    result = embed(*scan, (10, 64, 64), np.random.default_rng(2))
    elsewhere = result.image[result.labels == 0]
    assert (elsewhere > 220).mean() < 0.005


def test_the_surroundings_are_textured_everywhere(scan):
    result = embed(*scan, (14, 40, 48), np.random.default_rng(3))
    for plane in (result.image[0], result.image[-1], result.image[:, 0], result.image[:, :, -1]):
        assert plane.std() > 2


def test_place_and_texture_depend_on_the_random_source_alone(scan):
    first, again, other = (embed(*scan, (14, 40, 48), np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.image, again.image)
    assert first.corner != other.corner


def test_a_field_of_view_of_the_size_of_the_scan_is_the_scan(scan):
    result = embed(*scan, scan[0].shape, np.random.default_rng(0))
    np.testing.assert_array_equal(result.image, scan[0])


def test_a_smaller_field_of_view_is_refused(scan):
    with pytest.raises(InputError, match=r"larger than the scan; found \(10, 8, 48\)"):
        embed(*scan, (10, 8, 48), np.random.default_rng(0))
