"""Scores of label maps on real grids: labels, empty masks, grids, planes, largest components."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from MaskWhatMattersLib.errors import GeometryError, InputError
from MaskWhatMattersLib.evaluation.cases import METRICS, labels_of, score_case
from MaskWhatMattersLib.evaluation.surface import surface_distances
from MaskWhatMattersLib.volumes import Volume, orient
from unit.cli.helpers import AFFINE
from unit.evaluation.literal_metrics import random_masks


def label_map(array: np.ndarray, affine: np.ndarray = AFFINE, **more: object) -> Volume:
    """A volume of integers; the affine is oblique and anisotropic unless another is given."""
    return Volume(np.asarray(array)[None].astype(np.uint8), affine, name="case", **more)


def random_pair(seed: int = 0) -> tuple[Volume, Volume]:
    prediction, truth = random_masks(seed)
    return label_map(prediction), label_map(truth)


def test_voxel_scores_ignore_the_spacing_and_mm_scores_use_it_axis_by_axis():
    prediction, truth = random_pair()
    voxel, mm = (score_case(prediction, truth, spacing=spacing)[0].values for spacing in ("voxel", "mm"))
    spacing_kji = tuple(reversed(truth.spacing_mm))
    masks = prediction.array[0], truth.array[0]
    assert voxel["hd95_voxel"] == surface_distances(*masks).hausdorff()
    assert voxel["asd_voxel"] == surface_distances(*masks).directed_mean()
    assert mm["hd95_mm"] == pytest.approx(surface_distances(*masks, spacing_kji).hausdorff())
    assert mm["assd_mm"] == pytest.approx(surface_distances(*masks, spacing_kji).symmetric_mean())


@pytest.mark.parametrize("spacing", ["voxel", "mm"])
def test_scores_are_the_metrics_that_are_announced(spacing):
    (scores,) = score_case(*random_pair(), spacing=spacing)
    assert tuple(scores.values) == METRICS[spacing]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 500), st.sampled_from(["RAS", "LPS", "PIR", "SAL", "ILA"]))
def test_the_orientation_of_the_files_changes_nothing(seed, orientation):
    pair = random_pair(seed)
    turned = [orient(volume, orientation) for volume in pair]
    expected, found = score_case(*pair)[0].values, score_case(*turned)[0].values
    assert found == pytest.approx(expected, abs=1e-9)


def test_volumes_are_in_ml_and_their_difference_is_signed():
    affine = np.diag([2.0, 5.0, 10.0, 1.0])  # 0.1 mL per voxel
    truth, prediction = np.zeros((4, 4, 4)), np.zeros((4, 4, 4))
    truth[:2], prediction[:1] = 1, 1
    values = score_case(label_map(prediction, affine), label_map(truth, affine))[0].values
    assert [values[name] for name in ("prediction_ml", "truth_ml", "difference_ml")] == pytest.approx([1.6, 3.2, -1.6])


def test_every_label_of_the_truth_is_scored_under_its_name():
    truth = np.zeros((3, 4, 4))
    truth[0], truth[2] = 3, 250
    scores = score_case(label_map(truth), label_map(truth), names={3: "atrium"})
    assert [(row.label, row.label_name, row.values["dice"]) for row in scores] == [(3, "atrium", 1), (250, "", 1)]


def test_an_empty_prediction_has_no_overlap_and_nan_distances():
    _, truth = random_pair()
    (scores,) = score_case(label_map(np.zeros(truth.spatial_shape)), truth)
    assert scores.empty == "prediction"
    assert (scores.values["dice"], scores.values["nsd_1mm"], scores.values["prediction_ml"]) == (0, 0, 0)
    assert np.isnan([scores.values["hd95_mm"], scores.values["assd_mm"]]).all()


def test_an_empty_truth_is_scored_where_its_label_is_asked_for():
    prediction, _ = random_pair()
    empty = label_map(np.zeros(prediction.spatial_shape))
    assert score_case(prediction, empty) == []
    (scores,) = score_case(prediction, empty, labels=[1], spacing="voxel")
    assert scores.empty == "truth"
    assert np.isnan(scores.values["hd95_voxel"])


def test_a_label_in_neither_is_nan_throughout():
    (scores,) = score_case(*random_pair(), labels=[9], spacing="voxel")
    assert scores.empty == "both"
    assert np.isnan(list(scores.values.values())).all()


def test_the_largest_component_is_scored_beside_the_whole():
    truth = np.zeros((4, 8, 8))
    truth[1:3, 1:5, 1:5] = 1
    prediction = truth.copy()
    prediction[0, 7, 7] = 1
    whole, piece = score_case(label_map(prediction), label_map(truth), with_largest_component=True)
    assert (whole.largest_component, piece.largest_component) == (False, True)
    assert whole.values["dice"] < 1
    assert piece.values["dice"] == 1


def test_a_picture_is_measured_as_a_plane_and_only_in_voxels():
    mask = np.zeros((1, 9, 9))
    mask[0, 2:7, 2:7] = 1
    smaller = np.zeros_like(mask)
    smaller[0, 3:6, 3:6] = 1
    pair = [label_map(array, np.eye(4), has_physical_scale=False) for array in (smaller, mask)]
    assert score_case(*pair, spacing="voxel")[0].values["asd_voxel"] == 1
    with pytest.raises(InputError, match="no millimetres"):
        score_case(*pair, spacing="mm")


def test_another_size_is_refused_with_both_and_a_way_out():
    with pytest.raises(GeometryError, match=r"4 x 3 x 2 voxels and the truth 4 x 3 x 3.*Resample"):
        score_case(label_map(np.ones((2, 3, 4))), label_map(np.ones((3, 3, 4))))


def test_the_same_size_elsewhere_is_refused_with_the_distance():
    moved = AFFINE.copy()
    moved[0, 3] += 3
    with pytest.raises(GeometryError, match="lie apart: a corner by 3 mm"):
        score_case(label_map(np.ones((2, 3, 4)), moved), label_map(np.ones((2, 3, 4))))


def test_rounding_in_a_header_is_no_other_grid():
    assert score_case(label_map(np.ones((2, 3, 4)), AFFINE + np.eye(4, k=1) * 1e-4), label_map(np.ones((2, 3, 4))))


def test_whole_numbers_as_floats_are_labels_and_probabilities_are_not():
    values = np.array([[[[0.0, 1.0, 2.0]]]])
    assert labels_of(Volume(values, np.eye(4))) == (1, 2)
    assert labels_of(Volume(values > 0, np.eye(4))) == (1,)
    with pytest.raises(InputError, match=r"such as 0\.2"):
        labels_of(Volume(values * 0.2, np.eye(4)))


def test_an_image_or_several_channels_are_no_label_map():
    with pytest.raises(InputError, match="1331 different values"):
        labels_of(Volume(np.arange(1331).reshape(1, 11, 11, 11), np.eye(4)))
    with pytest.raises(InputError, match="found 2"):
        labels_of(Volume(np.ones((2, 3, 3, 3)), np.eye(4)))
