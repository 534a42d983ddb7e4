"""Lungs in CT by rule."""

import numpy as np
import pytest

from MaskWhatMattersLib import read_volume
from MaskWhatMattersLib.relevance.builtin.ct_lungs import ct_lungs
from MaskWhatMattersLib.volumes import Volume, orient, to_ras
from phantoms import head_ct


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def centre_ras(mask: Volume) -> np.ndarray:
    return to_ras(np.argwhere(mask.array[0])[:, ::-1].mean(axis=0), mask.affine)


def test_both_lungs_are_found_and_the_windpipe_is_not_one():
    volume = head_ct()
    lungs = ct_lungs(volume)
    truth = volume.array == -850
    both = (lungs["left lung"].array > 0) | (lungs["right lung"].array > 0)
    assert overlap(both, truth) > 0.9


@pytest.mark.parametrize("orientation", ["LPS", "RAS", "SAL", "PIR"])
def test_the_larger_phantom_lung_is_the_left_one_however_voxels_are_stored(orientation):
    volume = orient(head_ct(), orientation)
    lungs = ct_lungs(volume)
    assert lungs["left lung"].array.sum() > 1.1 * lungs["right lung"].array.sum()
    assert centre_ras(lungs["left lung"])[0] < centre_ras(lungs["right lung"])[0]


def test_a_body_without_lungs_has_none():
    volume = head_ct()
    filled = volume.with_array(np.where(volume.array == -850, 40, volume.array))
    assert not any(lung.array.any() for lung in ct_lungs(filled).values())


def test_air_alone_has_no_lungs():
    empty = Volume(np.full((1, 20, 20, 20), -1000, np.int16), np.diag([3.0, 3.0, 3.0, 1.0]))
    assert not any(lung.array.any() for lung in ct_lungs(empty).values())


def test_the_right_lung_of_a_real_scan_agrees_with_the_automatic_labels(data_folder):
    folder = data_folder / "totalseg_examples_silver"
    volume = read_volume(folder / "images" / "ct_thorax_abdomen.nii.gz")
    labels = read_volume(folder / "labels" / "ct_thorax_abdomen.nii.gz").array
    assert overlap(ct_lungs(volume)["right lung"].array > 0, np.isin(labels, (12, 13, 14))) > 0.9
