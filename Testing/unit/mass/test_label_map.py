"""Probabilities become one label per voxel of the scan."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from MaskWhatMattersLib.errors import JobCancelledError
from MaskWhatMattersLib.mass.example import TaskLabel
from MaskWhatMattersLib.mass.label_map import label_map_of, masks_found, probabilities_of
from MaskWhatMattersLib.mass.settings import SegmentSettings
from MaskWhatMattersLib.progress import SilentProgress
from MaskWhatMattersLib.volumes import Volume, orient, resample_to_spacing

ONE, TWO = TaskLabel(value=3, name="one"), TaskLabel(value=7, name="two")
OBLIQUE = np.eye(4)
OBLIQUE[:3, :3] = Rotation.from_euler("xyz", [10, 20, 160], degrees=True).as_matrix() * (1.1, 0.9, 3.0)


def mapped(probabilities: Volume, source: Volume, *labels: TaskLabel, **settings) -> np.ndarray:
    found = label_map_of(probabilities, source, labels, SegmentSettings(**settings), SilentProgress())
    np.testing.assert_array_equal(found.affine, source.affine)
    return found.array[0]


def grid(*values: np.ndarray) -> Volume:
    return Volume(np.stack(values).astype(np.float32), np.eye(4))


def test_the_more_probable_label_wins_and_an_improbable_one_never() -> None:
    first, second = np.zeros((2, 2, 2, 4))
    first[..., 0], second[..., 0] = 0.6, 0.7
    first[..., 1], second[..., 1] = 0.9, 0.7
    first[..., 2], second[..., 2] = 0.4, 0.3
    probabilities = grid(first, second)
    found = mapped(probabilities, probabilities, ONE, TWO, keep_largest=False)
    np.testing.assert_array_equal(found[0, 0], [7, 3, 0, 0])
    assert found.dtype == np.uint8


def test_masks_that_were_found_are_those_of_the_label_map() -> None:
    values = np.random.default_rng(0).random((2, 6, 7, 8)).astype(np.float32)
    settings = SegmentSettings(threshold=0.6)
    masks = masks_found(torch.from_numpy(values), (ONE, TWO), settings)
    label_map = mapped(grid(*values), grid(values[0]), ONE, TWO, threshold=0.6)
    np.testing.assert_array_equal(masks, np.stack([label_map == 3, label_map == 7]))
    assert masks.any((1, 2, 3)).all()


def test_large_values_need_two_bytes() -> None:
    probabilities = grid(np.ones((2, 2, 2)))
    found = mapped(probabilities, probabilities, TaskLabel(value=60000, name="many"))
    assert (found == 60000).all()
    assert found.dtype == np.uint16


@pytest.mark.parametrize("orientation", ["LPS", "PIR", "RAS"])
def test_a_part_of_the_scan_gives_what_all_of_it_would(orientation: str) -> None:
    k, j, i = np.indices((30, 40, 24))
    scan = orient(Volume(np.zeros((1, 12, 40, 36)), OBLIQUE), orientation)
    prepared = resample_to_spacing(orient(scan, "RAS"), 1.5)
    k, j, i = np.indices(prepared.spatial_shape)
    blob = np.exp(-((k - 9) ** 2 + (j - 14) ** 2 + (i - 20) ** 2) / 60)
    corner = np.exp(-(k**2 + j**2 + i**2) / 80)
    probabilities = prepared.with_array(np.stack([blob, corner]).astype(np.float32))
    whole = probabilities_of(probabilities, scan).array
    found = mapped(probabilities, scan, ONE, TWO)
    np.testing.assert_array_equal(found == 3, whole[0] >= 0.5)
    np.testing.assert_array_equal(found == 7, whole[1] >= 0.5)
    assert (found == 3).sum() > 20
    assert (found == 7).any()


def test_stray_pieces_go_where_the_structure_is_one_piece() -> None:
    probability = np.zeros((4, 4, 12))
    probability[..., :4] = probability[..., 6] = 1
    probabilities = grid(probability)
    several = ONE.model_copy(update={"several_parts": True})
    assert not mapped(probabilities, probabilities, ONE)[..., 5:].any()
    assert mapped(probabilities, probabilities, several)[..., 6].all()
    assert not mapped(probabilities, probabilities, several, keep_largest=True)[..., 6].any()
    assert mapped(probabilities, probabilities, ONE, keep_largest=False)[..., 6].all()


def test_a_cancel_stops_between_labels() -> None:
    class Stop(SilentProgress):
        def step(self, count: int = 1, message: str = "") -> None:
            raise JobCancelledError("stop")

    probabilities = grid(np.ones((2, 2, 2)))
    with pytest.raises(JobCancelledError):
        label_map_of(probabilities, probabilities, (ONE,), SegmentSettings(), Stop())
