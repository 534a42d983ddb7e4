"""Scans and labels of a site: what fits together, what is refused, and what the training gets."""

from __future__ import annotations

import json

import numpy as np
import pytest

from MaskWhatMattersLib.bridge.adapt_cases import (
    Pair,
    case_names,
    find_pairs,
    label_name,
    name_of,
    repeated_scans,
    store_pairs,
    store_unlabelled,
    stored_pairs,
    stored_unlabelled,
    validation_count,
    write_case,
)
from MaskWhatMattersLib.bridge.adapt_checks import check_pair, require_usable
from MaskWhatMattersLib.bridge.nodes import follow_transform, local_affine, set_voxels, volume_from_node
from MaskWhatMattersLib.bridge.segmentations import add_segment
from MaskWhatMattersLib.datasets.cases import read_case
from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.volumes import Volume, write_volume


@pytest.fixture
def block() -> np.ndarray:
    mask = np.zeros((6, 7, 8), bool)
    mask[1:4, 2:6, 3:5] = True
    return mask


@pytest.fixture
def segmentation(scene, scan, block):
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "drawn")
    node.SetReferenceImageGeometryParameterFromVolumeNode(scan)
    add_segment(node, "atrium", block, local_affine(scan), (1, 0, 0))
    return node


def label_map(scene, array, affine):
    node = scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "labels")
    set_voxels(node, array.astype(np.uint8), affine)
    return node


def save(folder, name, array, affine=None):
    folder.mkdir(exist_ok=True)
    write_volume(Volume(array[None], np.eye(4) if affine is None else affine), folder / name)
    return str(folder / name)


def test_segmentation_drawn_on_the_volume_has_its_grid(scene, scan, segmentation, moved):
    pair = Pair(scan.GetID(), segmentation.GetID())
    assert check_pair(scene, pair).status == "same"
    moved(scan)
    follow_transform(segmentation, scan)
    assert check_pair(scene, pair).status == "same"


def test_label_map_of_another_grid_will_be_resampled(scene, scan, block):
    labels = label_map(scene, block[::2], local_affine(scan) @ np.diag([1, 1, 2, 1]))
    assert check_pair(scene, Pair(scan.GetID(), labels.GetID())).status == "resampled"
    same = label_map(scene, block, local_affine(scan))
    assert check_pair(scene, Pair(scan.GetID(), same.GetID())).status == "same"


def test_label_elsewhere_or_without_segment_is_refused(scene, scan, segmentation, block):
    far = label_map(scene, block, np.diag([1, 1, 1, 1]) + np.eye(4, k=3) * 900)
    assert "outside the volume" in check_pair(scene, Pair(scan.GetID(), far.GetID())).reason
    empty = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "empty")
    assert "no such segment" in check_pair(scene, Pair(scan.GetID(), empty.GetID())).reason
    assert check_pair(scene, Pair(scan.GetID(), segmentation.GetID(), "another")).status == "refused"


def test_node_that_is_gone_is_refused(scene, scan, segmentation):
    pair = Pair(scan.GetID(), segmentation.GetID())
    scene.RemoveNode(segmentation)
    assert "no longer in the scene" in check_pair(scene, pair).reason
    with pytest.raises(InputError, match="scan: A scan or its label is no longer"):
        require_usable(scene, [pair], [])


def test_files_are_compared_by_their_headers(scene, tmp_path, block):
    image = save(tmp_path, "a.nii.gz", block.astype(np.float32))
    same = save(tmp_path, "same.nrrd", block.astype(np.uint8))
    moved = save(tmp_path, "moved.nii.gz", block.astype(np.uint8), np.diag([1, 1, 1.1, 1]))
    assert check_pair(scene, Pair(image, same)).status == "same"
    assert "another grid" in check_pair(scene, Pair(image, moved)).reason
    assert "does not exist" in check_pair(scene, Pair(image, str(tmp_path / "gone.nii"))).reason
    assert check_pair(scene, Pair(str(tmp_path), same)).status == "unknown"


def test_scan_in_the_scene_with_a_label_file_is_refused(scene, scan, tmp_path):
    assert "both be files" in check_pair(scene, Pair(scan.GetID(), str(tmp_path / "a.nii"))).reason


def test_folders_are_paired_by_name_and_the_rest_is_unlabelled(tmp_path, block):
    images, labels = tmp_path / "images", tmp_path / "labels"
    for name in ("a.nii.gz", "b.nii.gz", "c.nii.gz"):
        save(images, name, block.astype(np.float32))
    for name in ("a.nrrd", "c.nii.gz"):
        save(labels, name, block.astype(np.uint8))
    pairs, rest = find_pairs(images, labels)
    expected = [("a.nii.gz", "a.nrrd"), ("c.nii.gz", "c.nii.gz")]
    assert pairs == [Pair(str(images / image), str(labels / label)) for image, label in expected]
    assert rest == [str(images / "b.nii.gz")]
    with pytest.raises(InputError, match="one folder"):
        find_pairs(images, images)
    with pytest.raises(InputError, match="No scan in"):
        find_pairs(labels, tmp_path)


def test_scan_used_twice_is_refused_wherever_it_is(scene, scan, segmentation):
    pair = Pair(scan.GetID(), segmentation.GetID())
    assert repeated_scans(scene, [pair], []) == []
    assert "is there twice" in repeated_scans(scene, [pair, pair], [])[0]
    with pytest.raises(InputError, match="both labelled and unlabelled"):
        require_usable(scene, [pair], [scan.GetID()])


def test_at_least_one_labelled_scan_is_needed(scene, scan):
    with pytest.raises(InputError, match="at least one volume with its segmentation"):
        require_usable(scene, [], [scan.GetID()])


def test_the_last_fifth_is_held_out_from_four_pairs_on():
    assert [validation_count(pairs) for pairs in (1, 3, 4, 5, 8, 10)] == [0, 0, 1, 1, 2, 2]


def test_nodes_become_files_in_the_world_with_the_label_on_the_grid_of_the_scan(
    scene, scan, segmentation, block, moved, tmp_path
):
    moved(scan)
    follow_transform(segmentation, scan)
    pair = Pair(scan.GetID(), segmentation.GetID())
    image, label = read_case(write_case(scene, pair.image, pair, tmp_path, "case"))
    np.testing.assert_array_equal(image.array, volume_from_node(scan).array)
    np.testing.assert_allclose(image.affine, volume_from_node(scan).affine, atol=1e-4)
    np.testing.assert_array_equal(label.array[0], block)
    assert write_case(scene, scan.GetID(), None, tmp_path, "other").label_map is None


def test_files_are_trained_on_where_they_lie(scene, tmp_path, block):
    image = save(tmp_path, "a.nii.gz", block.astype(np.float32))
    case = write_case(scene, image, Pair(image, image), tmp_path, "a")
    assert [str(case.image), str(case.label_map)] == [image, image]


def test_case_names_are_unique_and_fit_every_file_system(scene, scan):
    other = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "3: T1/late?")
    sources = [scan.GetID(), "/data/Scan.nii.gz", "/other/scan.nii.gz", other.GetID()]
    assert case_names(scene, sources) == ["scan", "Scan-2", "scan-3", "3__T1_late"]


def parameter_node(scene):
    node = scene.CreateNodeByClass("vtkMRMLScriptedModuleNode")
    node.SetSingletonTag("adapt")
    return scene.AddNode(node)


def test_pairs_survive_the_parameter_node(scene, scan, segmentation):
    node = parameter_node(scene)
    assert stored_pairs(node) == []
    pairs = [Pair(scan.GetID(), segmentation.GetID(), "Segment_1"), Pair("/a b/ä.nii", "/c.nii")]
    store_pairs(node, pairs)
    assert stored_pairs(node) == pairs
    text = node.GetParameter("adaptLabelled")
    assert "vtkMRML" not in text
    store_pairs(node, stored_pairs(node))
    assert node.GetParameter("adaptLabelled") == text


def test_stored_nodes_are_followed_into_a_scene_where_their_ids_are_taken(scene, scan, segmentation, tmp_path):
    node, before = parameter_node(scene), [Pair(scan.GetID(), segmentation.GetID())]
    store_pairs(node, before)
    store_unlabelled(node, {scan.GetID(): True, "/c.nii": False})
    scene.SetURL(str(tmp_path / "scene.mrml"))
    scene.Commit()
    scene.Clear(True)
    for class_name in ("vtkMRMLScalarVolumeNode", "vtkMRMLSegmentationNode"):
        scene.AddNewNodeByClass(class_name, "another patient")
    taken = [node_id for pair in before for node_id in (pair.image, pair.label)]
    assert [scene.GetNodeByID(node_id).GetName() for node_id in taken] == ["another patient"] * 2
    store_pairs(parameter_node(scene), before)
    scene.Import()
    node = scene.GetSingletonNode("adapt", "vtkMRMLScriptedModuleNode")
    (pair,) = stored_pairs(node)
    assert (name_of(scene, pair.image), name_of(scene, pair.label)) == ("scan", "drawn")
    assert [name_of(scene, source) for source in stored_unlabelled(node)] == ["scan", "c"]


def test_removed_nodes_keep_their_names_and_are_no_others(scene, scan, segmentation):
    node = parameter_node(scene)
    store_pairs(node, [Pair(scan.GetID(), segmentation.GetID())])
    store_unlabelled(node, {scan.GetID(): True})
    scene.RemoveNode(scan)
    scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "scan")
    store_pairs(node, stored_pairs(node))
    (pair,) = stored_pairs(node)
    assert scene.GetNodeByID(pair.image) is None
    assert name_of(scene, pair.image) == "scan"
    assert check_pair(scene, pair).status == "refused"
    assert stored_unlabelled(node) == {}


def test_pair_that_is_removed_leaves_no_reference(scene, scan, segmentation):
    node = parameter_node(scene)
    store_pairs(node, [Pair(scan.GetID(), segmentation.GetID())])
    store_pairs(node, [])
    roles = [node.GetNthNodeReferenceRole(index) for index in range(node.GetNumberOfNodeReferenceRoles())]
    assert [role for role in roles if node.GetNumberOfNodeReferences(role)] == []


def test_ids_in_the_text_of_older_scenes_are_not_believed(scene, scan, segmentation):
    node = parameter_node(scene)
    node.SetParameter("adaptLabelled", json.dumps([[scan.GetID(), segmentation.GetID(), ""]]))
    node.SetParameter("adaptUnlabelled", json.dumps([[scan.GetID(), True]]))
    (pair,) = stored_pairs(node)
    assert check_pair(scene, pair).status == "refused"
    assert stored_unlabelled(node) == {}


def test_label_is_called_by_its_segment_where_there_are_several(scene, scan, segmentation, block):
    pair = Pair(scan.GetID(), segmentation.GetID(), "atrium")
    assert label_name(scene, pair) == "drawn"
    add_segment(segmentation, "vein", block, local_affine(scan), (0, 1, 0))
    assert label_name(scene, pair) == "drawn: atrium"
