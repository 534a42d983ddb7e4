"""Labelled scans of the scene as cases of a finetuning."""

from __future__ import annotations

import numpy as np
import pytest
import slicer

from MaskWhatMattersLib.bridge.adapt_cases import Pair
from MaskWhatMattersLib.bridge.finetune_cases import (
    class_names,
    class_problems,
    held_out,
    incomplete_scans,
    scene_case,
)
from MaskWhatMattersLib.bridge.nodes import node_from_volume, set_voxels, world_affine
from MaskWhatMattersLib.bridge.segmentations import add_segment
from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.volumes import Volume, read_volume


@pytest.fixture
def mask(volume) -> np.ndarray:
    mask = np.zeros(volume.spatial_shape, bool)
    mask[1:4, 2:6, 3:5] = True
    return mask


def add_pair(scene, volume, **masks) -> Pair:
    """A scan and a segmentation with segments of these names."""
    scan = node_from_volume(scene, volume)
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "drawn")
    for name, drawn in masks.items():
        add_segment(node, name.replace("_", " "), drawn, volume.affine, (1, 0, 0))
    return Pair(scan.GetID(), node.GetID())


def add_label_map(scene, volume, values) -> Pair:
    scan = node_from_volume(scene, volume)
    node = scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "labels")
    set_voxels(node, values, volume.affine)
    return Pair(scan.GetID(), node.GetID())


def name_color(scene, pair, color_type, value, name) -> None:
    colors = slicer.vtkMRMLColorTableNode()
    getattr(colors, f"SetTypeTo{color_type}")()
    if color_type == "User":
        colors.SetNumberOfColors(8)
        colors.SetColor(value, name, 1, 0, 0, 1)
    scene.AddNode(colors)
    node = scene.GetNodeByID(pair.label)
    node.CreateDefaultDisplayNodes()
    node.GetDisplayNode().SetAndObserveColorNodeID(colors.GetID())


def test_segments_become_one_label_map_on_the_grid_of_the_scan(scene, volume, mask, tmp_path):
    pair = add_pair(scene, volume, liver=mask, tumour=~mask)
    made = scene_case(scene, pair, class_names(scene, [pair]), "scan", "val", tmp_path)
    labels = read_volume(made.case.label_map)
    np.testing.assert_array_equal(labels.array[0], np.where(mask, 1, 2))
    np.testing.assert_allclose(labels.affine, volume.affine, atol=1e-4)
    np.testing.assert_array_equal(read_volume(made.case.image).array, volume.array)
    assert (made.case.split, made.note) == ("val", "")


def test_class_keeps_its_value_in_every_scan_whatever_the_order_and_case(scene, volume, mask, tmp_path):
    first = add_pair(scene, volume, liver=mask, tumour=~mask)
    second = add_pair(scene, volume, Tumour=mask)
    names = class_names(scene, [first, second])
    assert names == ["liver", "tumour"]
    labels = read_volume(scene_case(scene, second, names, "second", "train", tmp_path).case.label_map)
    np.testing.assert_array_equal(labels.array[0], 2 * mask)


def test_chosen_segment_is_the_only_one(scene, volume, mask, tmp_path):
    both = add_pair(scene, volume, liver=mask, tumour=~mask)
    segment = scene.GetNodeByID(both.label).GetSegmentation().GetNthSegmentID(1)
    pair = Pair(both.image, both.label, segment)
    assert class_names(scene, [pair]) == ["tumour"]
    labels = read_volume(scene_case(scene, pair, ["tumour"], "scan", "train", tmp_path).case.label_map)
    np.testing.assert_array_equal(labels.array[0], ~mask)


def test_overlapping_segments_are_told_of_and_the_later_one_counts(scene, volume, mask, tmp_path):
    pair = add_pair(scene, volume, body=np.ones_like(mask), liver=mask)
    made = scene_case(scene, pair, ["body", "liver"], "scan", "train", tmp_path)
    np.testing.assert_array_equal(read_volume(made.case.label_map).array[0], 1 + mask)
    assert made.note.startswith("Segments of scan overlap in 7.1% of the marked voxels")


def test_label_map_names_its_values_only_where_its_colours_came_from_segments(scene, volume, mask):
    pair = add_label_map(scene, volume, (3 * mask).astype(np.int16))
    name_color(scene, pair, "Labels", 3, "")
    assert class_names(scene, [pair]) == ["label 3"]
    name_color(scene, pair, "User", 3, "spleen")
    assert class_names(scene, [pair]) == ["spleen"]


def test_label_map_of_any_values_becomes_classes(scene, volume, mask, tmp_path):
    pair = add_label_map(scene, volume, np.where(mask, 700, 5).astype(np.int16))
    names = class_names(scene, [pair])
    labels = read_volume(scene_case(scene, pair, names, "scan", "train", tmp_path).case.label_map)
    np.testing.assert_array_equal(labels.array[0], 1 + mask)


def test_changed_label_map_is_looked_at_again(scene, volume, mask):
    pair = add_label_map(scene, volume, mask.astype(np.uint8))
    assert class_names(scene, [pair]) == ["label 1"]
    set_voxels(scene.GetNodeByID(pair.label), (4 * mask).astype(np.uint8), volume.affine)
    assert class_names(scene, [pair]) == ["label 4"]


def test_worker_elsewhere_gets_voxels_and_no_name(scene, volume, mask):
    pair = add_pair(scene, volume, liver=mask)
    case = scene_case(scene, pair, ["liver"], "scan", "train", None).case
    assert isinstance(case.image, Volume)
    np.testing.assert_array_equal(case.label_map.array[0] > 0, mask)


def test_transforms_move_scan_and_label_into_the_world(scene, volume, mask, moved, tmp_path):
    pair = add_pair(scene, volume, liver=mask)
    for source in (pair.image, pair.label):
        moved(scene.GetNodeByID(source))
    labels = read_volume(scene_case(scene, pair, ["liver"], "scan", "train", tmp_path).case.label_map)
    np.testing.assert_array_equal(labels.array[0] > 0, mask)
    np.testing.assert_allclose(labels.affine, world_affine(scene.GetNodeByID(pair.image)), atol=1e-4)


def test_label_outside_its_scan_is_refused(scene, volume, mask, tmp_path):
    pair = add_pair(scene, volume, liver=mask)
    far = np.eye(4)
    far[:3, 3] = 1000
    scene.GetNodeByID(pair.image).SetOrigin(1000, 1000, 1000)
    with pytest.raises(InputError, match="no marked voxel inside"):
        scene_case(scene, pair, ["liver"], "scan", "train", tmp_path)


def test_names_that_no_two_scans_share_are_a_problem(scene, volume, mask):
    pairs = [add_pair(scene, volume, anna=mask), add_pair(scene, volume, bert=mask)]
    (problem,) = class_problems(scene, pairs)
    assert "labels of its own (anna, bert)" in problem
    assert class_problems(scene, [*pairs, add_pair(scene, volume, bert=mask)]) == []


def test_label_that_marks_nothing_is_a_problem(scene, volume):
    (problem,) = class_problems(scene, [add_pair(scene, volume)])
    assert problem.startswith("drawn marks nothing")


def test_class_that_is_not_marked_somewhere_is_told_of(scene, volume, mask):
    pairs = [add_pair(scene, volume, liver=mask, tumour=mask), add_pair(scene, volume, liver=mask)]
    (note,) = incomplete_scans(scene, pairs)
    assert "has no tumour" in note


@pytest.mark.parametrize(("share", "measuring"), [(0.0, set()), (0.2, {4}), (0.5, {3, 4}), (0.99, {1, 2, 3, 4})])
def test_last_patients_are_held_out_and_never_all(scene, share, measuring):
    pairs = [Pair(f"/scan{number}.nii", "/label.nii") for number in range(5)]
    assert held_out(scene, pairs, share) == measuring
    assert held_out(scene, pairs[:1], share) == set()


def test_scans_of_one_patient_stay_together(scene, volume, mask):
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    pairs = [add_pair(scene, volume, liver=mask) for _ in range(4)]
    patient = hierarchy.CreateSubjectItem(hierarchy.GetSceneItemID(), "Anna")
    for pair in pairs[2:]:
        hierarchy.CreateItem(patient, scene.GetNodeByID(pair.image))
    assert held_out(scene, pairs, 0.2) == {2, 3}
    case = scene_case(scene, pairs[3], ["liver"], "scan-4", "val", None).case
    assert "Anna" not in case.patient
