"""The finder looks at the whole scan from afar and cuts out the atrium."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import corn_phantoms
from MaskWhatMattersLib.corn.locate import AtriumFinder, is_whole_chest
from MaskWhatMattersLib.errors import ModelFileError
from MaskWhatMattersLib.volumes import Volume, orient, to_ijk, to_ras

AFFINE = np.array([[-2.0, 0.2, 0, 80], [0.2, 2.0, 0, -60], [0, 0, 3.0, 10], [0, 0, 0, 1.0]])


@pytest.fixture(scope="module")
def finder(tmp_path_factory: pytest.TempPathFactory) -> AtriumFinder:
    return AtriumFinder.load(corn_phantoms.save_tiny_finder(tmp_path_factory.mktemp("models")), "cpu")


def block_scan() -> tuple[Volume, np.ndarray]:
    """A bright block in noise and a small bright one; the first and last voxel (i, j, k) of the large one."""
    array = np.random.default_rng(0).normal(100, 10, (1, 30, 60, 70))
    array[0, 10:20, 20:36, 30:50] = 900
    array[0, 4:6, 50:53, 5:8] = 900
    return Volume(array.astype(np.int16), AFFINE), np.array([[30, 20, 10], [49, 35, 19]])


@pytest.mark.parametrize("orientation", ["LAS", "RAS", "SPL"])
def test_the_region_is_the_box_and_its_margin(finder: AtriumFinder, orientation: str) -> None:
    scan, block = block_scan()
    region = finder.find(orient(scan, orientation), margin_mm=9.0)
    corners = np.array([[0, 0, 0], np.array(region.spatial_shape[::-1]) - 1])
    ijk = np.sort(to_ijk(to_ras(corners, region.affine), scan.affine), axis=0)
    margin_mm = np.abs(ijk - block) * scan.spacing_mm
    assert (margin_mm > 9 - 3.5).all()  # a voxel of 2.5 mm, and the finder sees corners as round
    assert (margin_mm < 9 + 5.5).all()


def test_the_region_ends_where_the_scan_ends(finder: AtriumFinder) -> None:
    scan, _ = block_scan()
    region = finder.find(scan, margin_mm=500.0)
    assert region.spatial_shape == scan.spatial_shape
    np.testing.assert_allclose(region.affine, scan.affine)


def test_the_voxels_of_the_region_are_those_of_the_scan(finder: AtriumFinder) -> None:
    scan, _ = block_scan()
    region = finder.find(scan)
    i, j, k = np.rint(to_ijk(region.origin_ras, scan.affine)).astype(int)
    depth, height, width = region.spatial_shape
    np.testing.assert_array_equal(region.array, scan.array[:, k : k + depth, j : j + height, i : i + width])


def test_noise_and_specks_are_no_atrium(finder: AtriumFinder) -> None:
    scan, _ = block_scan()
    array = scan.array.copy()
    array[0, 10:20, 20:36, 30:50] = 100
    assert finder.find(scan.with_array(array)) is None


@pytest.mark.parametrize(
    ("extent_mm", "is_whole"),
    [((152, 100, 55), False), ((360, 360, 55), True), ((360, 170, 160), False), ((200, 55, 200), True)],
)
def test_a_scan_is_whole_when_it_is_wide_along_two_axes(extent_mm: tuple[int, ...], is_whole: bool) -> None:
    spacing = np.array([5.0, 5.0, 5.0])
    shape = [round(each / 5) for each in reversed(extent_mm)]
    assert is_whole_chest(Volume(np.zeros((1, *shape)), np.diag([*spacing, 1]))) is is_whole


def test_a_segmenter_is_no_finder(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="atrium-finder-vnet is wanted"):
        AtriumFinder.load(corn_phantoms.save_tiny_atrium_model(tmp_path))
