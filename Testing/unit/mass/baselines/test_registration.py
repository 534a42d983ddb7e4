import numpy as np
import pytest

from MaskWhatMattersLib.errors import GeometryError, InputError
from MaskWhatMattersLib.mass.baselines.copy import copy_label_map
from MaskWhatMattersLib.mass.baselines.registration import copy_by_registration
from MaskWhatMattersLib.volumes import Volume, orient
from mass_phantoms import dice_per_label, organ_subject

SHAPE = (24, 24, 24)


def _moved(volume: Volume) -> Volume:
    """The same voxels 12 mm to the right and 8 mm up, turned by 8 degrees."""
    angle = np.deg2rad(8)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    affine = volume.affine.copy()
    affine[:3, :3] = turn @ affine[:3, :3]
    affine[:3, 3] += (12, 0, 8)
    return Volume(volume.array, affine, name="moved")


def test_a_moved_scan_gets_its_label_map_back_where_a_copy_fails() -> None:
    image, labels = organ_subject(0, SHAPE)
    target = _moved(image)
    found = copy_by_registration(image, labels, target, threads=1)
    assert dice_per_label(found.array, labels.array).mean() > 0.85
    assert dice_per_label(copy_label_map(labels, target).array, labels.array).mean() < 0.5


def test_the_result_lies_on_the_grid_of_the_target() -> None:
    image, labels = organ_subject(0, SHAPE)
    target = orient(organ_subject(1, (18, 20, 22), (5.0, 6.0, 4.0))[0], "LPS")
    found = copy_by_registration(image, labels, target, threads=1)
    assert found.spatial_shape == target.spatial_shape
    assert found.array.dtype == np.uint8
    np.testing.assert_array_equal(found.affine, target.affine)


def test_demons_bring_organs_closer_than_an_affine_map_does() -> None:
    (image, labels), (target, truth) = organ_subject(100, SHAPE), organ_subject(201, SHAPE)
    rigid, bent = (copy_by_registration(image, labels, target, deformable=way, threads=1) for way in (False, True))
    fits = [dice_per_label(found.array, truth.array).mean() for found in (rigid, bent)]
    assert fits[1] > fits[0]


def test_the_same_seed_gives_the_same_label_map() -> None:
    (image, labels), (target, _) = organ_subject(0, SHAPE), organ_subject(1, SHAPE)
    first, second = (copy_by_registration(image, labels, target, seed=3, threads=1) for _ in range(2))
    np.testing.assert_array_equal(first.array, second.array)


def test_fine_voxels_are_registered_at_a_coarser_spacing() -> None:
    image, labels = organ_subject(0, (24, 24, 96), (1.0, 4.0, 4.0))
    found = copy_by_registration(image, labels, image, threads=1)
    assert dice_per_label(found.array, labels.array).min() > 0.9


def test_a_label_map_of_another_grid_and_colours_are_refused() -> None:
    image, labels = organ_subject(0, SHAPE)
    with pytest.raises(GeometryError, match="does not lie on its image's grid"):
        copy_by_registration(image, organ_subject(0, (20, 20, 20))[1], image)
    with pytest.raises(InputError, match="one value per voxel"):
        copy_by_registration(image, labels, image.with_array(np.repeat(image.array, 3, axis=0)))
