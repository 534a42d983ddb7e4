"""What an example leaves in the scene: its segments, their figures, and nothing of the user's changed unasked."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import slicer
import vtk

from MaskWhatMattersLib.bridge.example_segments import facts_of, voxels_of_segment
from MaskWhatMattersLib.bridge.mass_results import (
    ExampleRow,
    example_rows,
    present_segmentation,
    show_result,
    worst_first,
)
from MaskWhatMattersLib.bridge.nodes import local_affine, node_from_volume, volume_from_node
from MaskWhatMattersLib.bridge.regions import segment_mask, segment_names
from MaskWhatMattersLib.bridge.segmentations import add_segment, write_segment
from MaskWhatMattersLib.errors import GeometryError
from mass_scenes import LIVER, found_in


def shape_of(node):
    return slicer.util.arrayFromVolume(node).shape


def mask_of(segmentation, name, node):
    segment_id = segmentation.GetSegmentation().GetSegmentIdBySegmentName(name)
    return segment_mask(segmentation, node, segment_id)


def drawn_by_user(scan, name="Liver", where=np.s_[:2]):
    """A segmentation of the user with one segment."""
    node = scan.GetScene().AddNewNodeByClass("vtkMRMLSegmentationNode", "mine")
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(scan)
    mask = np.zeros(shape_of(scan), bool)
    mask[where] = True
    add_segment(node, name, mask, local_affine(scan), (1, 1, 0))
    return node


def edit(segmentation, name, node):
    segment_id = segmentation.GetSegmentation().GetSegmentIdBySegmentName(name)
    write_segment(segmentation, segment_id, np.ones(shape_of(node), bool), local_affine(node))


def test_segments_lie_exactly_on_the_volume_in_every_orientation(scene, volume, moved):
    node = node_from_volume(scene, volume)
    transform = moved(node)
    result = found_in(volume_from_node(node))
    segmentation, _ = show_result(node, result)
    for label in (1, 2):
        name = segment_names(segmentation)[label - 1][1]
        np.testing.assert_array_equal(mask_of(segmentation, name, node), result.label_map.array[0] == label)
    assert segmentation.GetTransformNodeID() == transform.GetID()


def test_segments_have_names_colours_and_terms_of_the_example(scan):
    segmentation, _ = show_result(scan, found_in(volume_from_node(scan)))
    assert segmentation.GetName() == "scan by example"
    liver = segmentation.GetSegmentation().GetNthSegment(0)
    assert (liver.GetName(), liver.GetColor()) == ("Liver", LIVER.color)
    entry = vtk.mutable("")
    liver.GetTag(liver.GetTerminologyEntryTagName(), entry)
    assert "SCT^10200004^Liver" in str(entry)


def test_figures_are_read_back_from_the_segments(scan):
    segmentation, _ = show_result(scan, found_in(volume_from_node(scan)))
    liver, spleen = example_rows(scan.GetScene())
    assert (liver.target, liver.segment, liver.quality, liver.light) == ("scan", "Liver", 0.9, "green")
    assert (spleen.quality, spleen.light) == (0.4, "red")
    assert spleen.notes == ("Spleen looks odd / twice.",)
    assert liver.volume_ml == pytest.approx(
        mask_of(segmentation, "Liver", scan).sum() * 0.7 * 0.9 * 3.2 / 1000, abs=1e-3
    )


def test_quality_that_was_not_estimated_is_none(scan):
    show_result(scan, found_in(volume_from_node(scan), (LIVER,), (math.nan,), ((),)))
    (row,) = example_rows(scan.GetScene())
    assert (row.quality, row.light) == (None, "amber")


def test_a_second_run_updates_what_nobody_changed(scan):
    first, _ = show_result(scan, found_in(volume_from_node(scan)))
    again, _ = show_result(scan, found_in(volume_from_node(scan), every=4))
    assert again is first
    assert len(segment_names(again)) == 2
    assert mask_of(again, "Liver", scan).sum() == math.ceil(6 * 7 * 8 / 4)


def test_keep_leaves_a_corrected_result_alone(scan):
    first, _ = show_result(scan, found_in(volume_from_node(scan)))
    edit(first, "Liver", scan)
    again, _ = show_result(scan, found_in(volume_from_node(scan)))
    assert again is not first
    assert mask_of(first, "Liver", scan).all()
    assert [row.node for row in example_rows(scan.GetScene())] == [again, again]


def test_keep_leaves_the_users_segmentation_alone(scan):
    mine = drawn_by_user(scan)
    made, _ = show_result(scan, found_in(volume_from_node(scan)), "keep")
    assert made is not mine
    assert [name for _id, name in segment_names(mine)] == ["Liver"]


def test_overwrite_replaces_segments_of_the_same_name_only(scan):
    mine = drawn_by_user(scan)
    add_segment(mine, "Kidney", np.ones(shape_of(scan), bool), local_affine(scan), (0, 0, 1))
    result = found_in(volume_from_node(scan))
    made, _ = show_result(scan, result, "overwrite")
    assert made is mine
    assert [name for _id, name in segment_names(mine)] == ["Liver", "Kidney", "Spleen"]
    np.testing.assert_array_equal(mask_of(mine, "Liver", scan), result.label_map.array[0] == 1)
    assert mask_of(mine, "Kidney", scan).all()


def test_lock_changes_no_voxel_that_is_marked(scan):
    mine = drawn_by_user(scan, "Kidney")
    result = found_in(volume_from_node(scan))
    made, kept = show_result(scan, result, "lock")
    assert (made, kept) == (mine, [])
    expected = result.label_map.array[0] == 1
    expected[:2] = False
    np.testing.assert_array_equal(mask_of(mine, "Liver", scan), expected)
    assert mask_of(mine, "Kidney", scan).sum() == 2 * 7 * 8


def test_lock_keeps_a_segment_of_the_same_name_and_says_so(scan):
    mine = drawn_by_user(scan, "liver")
    _made, kept = show_result(scan, found_in(volume_from_node(scan)), "lock")
    assert kept == ["Liver"]
    assert mask_of(mine, "liver", scan).sum() == 2 * 7 * 8


def test_lock_may_be_repeated(scan):
    mine = drawn_by_user(scan, "Kidney")
    show_result(scan, found_in(volume_from_node(scan)), "lock")
    show_result(scan, found_in(volume_from_node(scan), every=4), "lock")
    assert [name for _id, name in segment_names(mine)] == ["Kidney", "Liver", "Spleen"]


def test_a_segmentation_under_another_transform_is_met_in_the_world(scan, moved):
    mine = drawn_by_user(scan, "Kidney")
    moved(mine)
    result = found_in(volume_from_node(scan))
    made, _ = show_result(scan, result, "overwrite")
    found = mask_of(made, "Liver", scan)
    assert (found != (result.label_map.array[0] == 1)).mean() < 0.05


def test_an_edit_is_noticed_and_counted(scan):
    segmentation, _ = show_result(scan, found_in(volume_from_node(scan)))
    edit(segmentation, "Liver", scan)
    liver, spleen = example_rows(scan.GetScene())
    assert (liver.edited, spleen.edited) == (True, False)
    assert liver.volume_ml == pytest.approx(6 * 7 * 8 * 0.7 * 0.9 * 3.2 / 1000, rel=1e-3)


def test_figures_survive_a_file_of_the_segmentation(scan, tmp_path):
    segmentation, _ = show_result(scan, found_in(volume_from_node(scan)))
    path = tmp_path / "a.seg.nrrd"
    storage = slicer.vtkMRMLSegmentationStorageNode()
    storage.SetScene(scan.GetScene())
    storage.SetFileName(str(path))
    assert storage.WriteData(segmentation)
    loaded = scan.GetScene().AddNewNodeByClass("vtkMRMLSegmentationNode", "loaded")
    assert storage.ReadData(loaded)
    ids = dict((name, segment_id) for segment_id, name in segment_names(loaded))
    assert facts_of(loaded, ids["Spleen"]) == facts_of(segmentation, segment_names(segmentation)[1][0])


def test_a_scan_that_changed_meanwhile_is_refused(scan):
    result = found_in(volume_from_node(scan))
    slicer.util.updateVolumeFromArray(scan, np.zeros((2, 2, 2)))
    with pytest.raises(GeometryError, match="changed while it was worked on"):
        show_result(scan, result)


def test_present_segmentation_is_the_one_with_the_names(scan):
    drawn_by_user(scan, "Kidney")
    liver = drawn_by_user(scan, "Liver")
    drawn_by_user(scan, "Lung")
    assert present_segmentation(scan, ["liver"]) is liver


def test_rows_are_sorted_worst_first_and_empty_ones_before_all():
    rows = [
        ExampleRow("a", "good", 1.0, 0.9, (), ""),
        ExampleRow("b", "unknown", 1.0, None, (), ""),
        ExampleRow("c", "poor", 1.0, 0.2, (), ""),
        ExampleRow("d", "empty", 0.0, None, (), ""),
    ]
    assert [row.segment for row in worst_first(rows)] == ["empty", "poor", "good", "unknown"]


def test_notes_keep_a_good_result_from_a_green_light():
    assert ExampleRow("a", "s", 1.0, 0.95, ("Look.",), "").light == "amber"


def test_a_segment_in_which_nothing_was_found_is_there_and_empty(scan):
    result = found_in(volume_from_node(scan), (LIVER,), (math.nan,), (("Liver was not found.",),))
    nothing = result.label_map.with_array(np.zeros_like(result.label_map.array))
    segmentation, _ = show_result(scan, replace(result, label_map=nothing))
    (row,) = example_rows(scan.GetScene())
    assert (row.volume_ml, row.notes) == (0.0, ("Liver was not found.",))
    segment_id = segment_names(segmentation)[0][0]
    assert not voxels_of_segment(segmentation, segment_id, shape_of(scan), local_affine(scan)).any()


@pytest.mark.parametrize("existing", ["lock", "overwrite"])
def test_segmentation_that_was_loaded_from_a_file_belongs_to_the_volume_of_its_grid(scan, tmp_path, existing):
    drawn = drawn_by_user(scan)
    loaded = as_from_file(drawn, tmp_path)
    segmentation, kept = show_result(scan, found_in(volume_from_node(scan)), existing)
    assert segmentation is loaded
    assert kept == (["Liver"] if existing == "lock" else [])
    assert [row.segment for row in example_rows(scan.GetScene())] == ["Liver", "Spleen"][len(kept) :]


def test_segmentation_that_was_loaded_from_a_file_of_another_grid_is_left_alone(scan, tmp_path):
    loaded = as_from_file(drawn_by_user(scan), tmp_path)
    scan.SetOrigin(1, 2, 3)
    assert show_result(scan, found_in(volume_from_node(scan)), "overwrite")[0] is not loaded


def as_from_file(node, folder):
    """The same segmentation without the node that says which volume it was drawn on."""
    scene, path = node.GetScene(), str(folder / "mine.seg.nrrd")
    storage = slicer.vtkMRMLSegmentationStorageNode()
    storage.SetFileName(path)
    assert storage.WriteData(node)
    scene.RemoveNode(node)
    loaded = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "mine")
    assert storage.ReadData(loaded)
    return loaded
