"""The user's own region as relevance."""

import numpy as np
import pytest

from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.relevance import RoiBox, RoiSphere, localize
from MaskWhatMattersLib.volumes import Volume, orient


def volume() -> Volume:
    rotation = np.array([[0.96, -0.28, 0, 0], [0.28, 0.96, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    affine = rotation @ np.diag([1.0, 1.5, 2.0, 1.0])
    affine[:3, 3] = (-10, 5, 20)
    return Volume(np.zeros((1, 10, 12, 14), np.int16), affine)


def test_a_label_map_on_the_same_grid_is_the_relevance():
    labels = (np.random.default_rng(0).random((1, 10, 12, 14)) > 0.5).astype(np.uint8) * 7
    result = localize(volume(), "liver", localizer="roi", roi=volume().with_array(labels))[0]
    assert np.array_equal(result.volume.array > 0, labels > 0)
    assert result.verdict == "found"


def test_a_label_map_stored_in_another_order_lands_on_the_same_voxels():
    labels = (np.random.default_rng(0).random((1, 10, 12, 14)) > 0.5).astype(np.uint8)
    turned = orient(volume().with_array(labels), "SAL")
    result = localize(volume(), "liver", localizer="roi", roi=turned)[0]
    assert np.array_equal(result.mask().array, labels)


def test_a_sphere_has_its_volume_and_its_centre():
    grid = Volume(np.zeros((1, 40, 40, 40), np.int16), np.diag([1.0, 1.0, 1.0, 1.0]))
    result = localize(grid, "lesion", localizer="roi", roi=RoiSphere((20, 20, 20), 10.0))[0]
    assert result.volume_ml() == pytest.approx(4 / 3 * np.pi, rel=0.02)
    assert np.allclose([axis.mean() for axis in np.nonzero(result.volume.array[0])], 20)


def test_a_turned_box_keeps_its_volume():
    grid = Volume(np.zeros((1, 40, 40, 40), np.int16), np.diag([1.0, 1.0, 1.0, 1.0]))
    turn = ((0.8, -0.6, 0.0), (0.6, 0.8, 0.0), (0.0, 0.0, 1.0))
    result = localize(grid, "lesion", localizer="roi", roi=RoiBox((20, 20, 20), (20.5, 10.5, 10.5), turn))[0]
    assert result.volume_ml() == pytest.approx(20.5 * 10.5 * 11 / 1000, rel=0.05)


def test_a_region_elsewhere_is_absent_and_its_mask_empty():
    result = localize(volume(), "lesion", localizer="roi", roi=RoiSphere((500, 0, 0), 10.0))[0]
    assert result.verdict == "absent"
    assert not result.mask().array.any()


def test_without_a_region_it_says_what_to_give():
    with pytest.raises(InputError, match="needs a region"):
        localize(volume(), "lesion", localizer="roi")


def test_an_empty_prompt_is_refused():
    with pytest.raises(InputError, match="prompt is empty"):
        localize(volume(), " ", localizer="roi", roi=RoiSphere((0, 0, 0), 10.0))


def test_a_vector_image_is_refused():
    colour = Volume(np.zeros((3, 4, 4, 4)), np.eye(4))
    with pytest.raises(InputError, match="one value per voxel"):
        localize(colour, "lesion", localizer="roi", roi=RoiSphere((0, 0, 0), 10.0))
