"""What steps may demand of a volume."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from MaskWhatMattersLib.errors import GeometryError, InputError
from MaskWhatMattersLib.volumes import (
    Volume,
    replace_not_finite,
    require_3d,
    require_finite,
    require_same_grid,
    require_scalar,
)
from unit.volumes.grids import OBLIQUE, counted


def with_holes() -> Volume:
    array = np.ones((1, 3, 3, 3), np.float32)
    array[0, 0, 0, :3] = np.nan, np.inf, -np.inf
    return Volume(array, OBLIQUE, name="scan")


def test_a_good_volume_passes_every_check():
    volume = counted()
    assert require_scalar(require_3d(require_finite(volume))) is volume


def test_colour_is_refused_where_one_value_is_needed():
    with pytest.raises(InputError, match='"rgb" must have one value per voxel; found 3'):
        require_scalar(Volume(np.zeros((3, 2, 2, 2), np.uint8), OBLIQUE, name="rgb"))


def test_one_slice_is_refused_where_3d_is_needed():
    with pytest.raises(GeometryError, match="single slice of 6 x 5 x 1"):
        require_3d(counted(depth=1))


def test_nan_and_infinity_are_refused_and_the_way_out_is_named():
    with pytest.raises(InputError, match=r"found 3 of 27.*replace_nan=0"):
        require_finite(with_holes())


def test_nan_and_infinity_are_replaced_by_the_value():
    array = replace_not_finite(with_holes(), -1024.0).array
    assert array[0, 0, 0].tolist() == [-1024.0] * 3
    assert array[0, 1:].min() == 1


def test_a_finite_volume_is_not_copied_by_replacing():
    volume = counted()
    assert replace_not_finite(volume, 0) is volume


def test_nan_cannot_replace_nan():
    with pytest.raises(InputError, match="finite number"):
        replace_not_finite(with_holes(), float("nan"))


def test_a_label_map_on_the_voxels_of_its_image_passes():
    image = counted()
    affine = image.affine.copy()
    affine[:3, 3] += 0.001
    rounded = replace(image, affine=affine)
    assert require_same_grid(rounded, image, "scan") is rounded


def test_a_label_map_of_another_size_or_place_is_refused_by_name():
    image = counted()
    with pytest.raises(GeometryError, match=r"label map of scan .* found 7 x 5 x 4 voxels .* image of 6 x 5 x 4"):
        require_same_grid(counted(width=7), image, "scan")
    moved = image.affine.copy()
    moved[0, 3] += 0.5
    with pytest.raises(GeometryError, match=r"corners are up to 0\.50 mm apart"):
        require_same_grid(replace(image, affine=moved), image, "scan")
