"""What an answer leaves in the scene: overlay, segmentation, and nothing that was not asked for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import slicer
import vtk

from MaskWhatMattersLib.bridge import ownership
from MaskWhatMattersLib.bridge.answers import apply_threshold, show_answer
from MaskWhatMattersLib.bridge.nodes import local_affine, node_from_volume, volume_from_node
from MaskWhatMattersLib.bridge.overlays import show_overlay
from MaskWhatMattersLib.bridge.segmentations import read_segment, write_segment
from MaskWhatMattersLib.errors import GeometryError
from MaskWhatMattersLib.relevance.relevance_map import RelevanceMap
from MaskWhatMattersLib.volumes import Volume


def answer(node, prompt="left lung", verdict="found", concept="left lung"):
    """Relevance that grows along i from 0 to 1; all zero unless found."""
    volume = volume_from_node(node)
    ramp = np.broadcast_to(np.linspace(0, 1, volume.spatial_shape[2], dtype=np.float32), volume.array.shape)
    relevance = volume.with_array(ramp.copy() if verdict == "found" else np.zeros_like(volume.array))
    return RelevanceMap(relevance, prompt, verdict, 0.9, "", "builtin", "test 1", concept)


def shown(node, **options):
    return show_answer(node, answer(node, **options), threshold=None, index=0)


def mask_of(segmentation, node):
    segment_id = segmentation.GetSegmentation().GetNthSegmentID(0)
    return read_segment(segmentation, segment_id, slicer.util.arrayFromVolume(node), local_affine(node))


def terminology_of(segment) -> str:
    tag = vtk.reference("")
    segment.GetTag(segment.GetTerminologyEntryTagName(), tag)
    return str(tag)


def test_segmentation_lies_exactly_on_the_volume(scene, volume):
    node = node_from_volume(scene, volume)
    _, (_, segmentation) = shown(node)
    np.testing.assert_array_equal(mask_of(segmentation, node), answer(node).mask().array[0] > 0)
    geometry = segmentation.GetSegmentation().GetConversionParameter("Reference image geometry")
    expected = slicer.vtkSegmentationConverter.SerializeImageGeometry(
        slicer.vtkSlicerSegmentationsModuleLogic.CreateOrientedImageDataFromVolumeNode(node)
    )
    assert geometry == expected


def test_overlay_lies_exactly_on_the_volume_and_moves_with_it(scene, volume, moved):
    node = node_from_volume(scene, volume)
    transform = moved(node)
    _, (overlay, segmentation) = shown(node)
    np.testing.assert_allclose(volume_from_node(overlay).affine, volume_from_node(node).affine, atol=1e-9)
    assert overlay.GetTransformNodeID() == segmentation.GetTransformNodeID() == transform.GetID()


def test_overlay_is_transparent_at_zero_and_shows_the_whole_range(scan):
    _, (overlay, _) = shown(scan)
    display = overlay.GetDisplayNode()
    assert (display.GetWindowLevelMin(), display.GetWindowLevelMax()) == (0.0, 1.0)
    color = [0.0] * 4
    display.GetColorNode().GetColor(0, color)
    assert color[3] == 0.0
    display.GetColorNode().GetColor(255, color)
    assert color[3] == 1.0


def test_segment_has_the_terminology_and_colour_of_its_concept(scan):
    _, (_, segmentation) = shown(scan, prompt="right lung", concept="right lung")
    segment = segmentation.GetSegmentation().GetNthSegment(0)
    entry = slicer.vtkSlicerTerminologyEntry()
    logic = slicer.vtkSlicerTerminologiesModuleLogic()
    assert logic.DeserializeTerminologyEntry(terminology_of(segment), entry)
    assert entry.GetTypeObject().GetCodeValue() == "39607008"
    assert entry.GetTypeModifierObject().GetCodeMeaning() == "Right"
    assert entry.GetCategoryObject().GetCodingSchemeDesignator() == "SCT"
    assert segment.GetColor() == pytest.approx((197 / 255, 165 / 255, 145 / 255))


def test_concept_outside_the_table_gets_a_colour_and_no_wrong_code(scan):
    _, (_, segmentation) = shown(scan, prompt="odd thing", concept=None)
    segment = segmentation.GetSegmentation().GetNthSegment(0)
    assert sum(segment.GetColor()) > 0.5
    assert "39607008" not in terminology_of(segment)


def test_results_are_named_by_prompt_and_listed_beside_the_volume(scene, scan):
    _, (overlay, segmentation) = shown(scan)
    assert (overlay.GetName(), segmentation.GetName()) == ("left lung relevance", "left lung")
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    for node in (overlay, segmentation):
        parent = hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node))
        assert hierarchy.GetItemName(parent) == "study"


def test_result_tells_its_origin_without_naming_the_patient(scan):
    _, nodes = shown(scan)
    for node in nodes:
        assert node.GetAttribute("MaskWhatMatters.Model") == "test 1"
        assert node.GetAttribute("MaskWhatMatters.Notice") == "Not for clinical use"


def test_asking_again_updates_instead_of_piling_up(scene, scan):
    _, first = shown(scan)
    _, second = shown(scan)
    assert [node.GetID() for node in first] == [node.GetID() for node in second]
    assert scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 1
    assert scene.GetNumberOfNodesByClass("vtkMRMLColorTableNode") == 1


def test_another_volume_gets_its_own_nodes(scene, scan):
    other = node_from_volume(scene, volume_from_node(scan), "other")
    _, (_, first) = shown(scan)
    _, (_, second) = shown(other)
    assert first.GetID() != second.GetID()
    assert second.GetName() == "left lung (2)"


def test_node_of_the_user_with_the_same_name_is_never_touched(scene, scan):
    users = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "left lung")
    before = users.GetMTime()
    _, (_, ours) = shown(scan)
    assert ours.GetID() != users.GetID()
    assert ours.GetName() == "left lung (2)"
    assert users.GetMTime() == before


def test_edits_of_the_user_survive_a_new_run(scan):
    _, (_, edited) = shown(scan)
    segment_id = edited.GetSegmentation().GetNthSegmentID(0)
    painted = mask_of(edited, scan)
    painted[0] = ~painted[0]
    write_segment(edited, segment_id, painted, local_affine(scan))
    _, (_, fresh) = shown(scan)
    assert fresh.GetID() != edited.GetID()
    np.testing.assert_array_equal(mask_of(edited, scan), painted)


def test_segment_added_by_the_user_survives_a_new_run(scan):
    _, (_, extended) = shown(scan)
    extended.GetSegmentation().AddEmptySegment("mine")
    _, (_, fresh) = shown(scan)
    assert fresh.GetID() != extended.GetID()
    assert extended.GetSegmentation().GetNumberOfSegments() == 2


@pytest.mark.parametrize("verdict", ["absent", "unknown", "untrained"])
def test_nothing_found_makes_no_node_and_takes_back_the_old_mask(scene, scan, verdict):
    shown(scan)
    row, nodes = shown(scan, verdict=verdict)
    assert (row["verdict"], row["volume_ml"], nodes) == (verdict, None, [])
    assert scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 0
    assert scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 1


def test_threshold_changes_the_mask_and_its_volume_without_a_new_run(scan):
    row, (_, segmentation) = shown(scan)
    before, count = row["volume_ml"], int(mask_of(segmentation, scan).sum())
    assert apply_threshold(scan, row, 0.9) is segmentation
    mask = mask_of(segmentation, scan)
    np.testing.assert_array_equal(mask, answer(scan).mask(0.9).array[0] > 0)
    assert row["volume_ml"] / before == pytest.approx(mask.sum() / count, rel=1e-3)
    assert row["volume_ml"] == pytest.approx(answer(scan).volume_ml(0.9), abs=1e-4)


def test_answer_for_a_volume_that_changed_meanwhile_is_refused(scan):
    late = answer(scan)
    slicer.util.updateVolumeFromArray(scan, np.zeros((2, 2, 2)))
    with pytest.raises(GeometryError, match=r"changed while it was worked on.*Apply again"):
        show_answer(scan, late, threshold=None, index=0)


def test_hiding_the_overlay_leaves_the_foreground_of_the_user(scene, scan):
    view = scene.AddNewNodeByClass("vtkMRMLSliceCompositeNode")
    _, (overlay, _) = shown(scan)
    show_overlay(scene, scan, overlay, 0.4)
    assert (view.GetBackgroundVolumeID(), view.GetForegroundVolumeID()) == (scan.GetID(), overlay.GetID())
    assert view.GetForegroundOpacity() == pytest.approx(0.4)
    show_overlay(scene, scan, None, 0.4)
    assert view.GetForegroundVolumeID() is None
    view.SetForegroundVolumeID(scan.GetID())
    show_overlay(scene, scan, None, 0.4)
    assert view.GetForegroundVolumeID() == scan.GetID()


def test_results_are_still_ours_after_the_scene_is_saved_and_loaded(scene, scan, tmp_path):
    shown(scan)
    scene.SetURL(str(tmp_path / "scene.mrml"))
    assert scene.Commit()
    loaded = slicer.vtkMRMLScene()
    slicer.vtkMRMLApplicationLogic().SetMRMLScene(loaded)
    logic = slicer.vtkSlicerSegmentationsModuleLogic()
    logic.SetMRMLScene(loaded)
    loaded.SetURL(scene.GetURL())
    loaded.Import()
    volume_node = loaded.GetFirstNodeByName("scan")
    assert ownership.find_ours(volume_node, "mask", "left lung").GetName() == "left lung"
    assert ownership.find_ours(volume_node, "relevance", "left lung").GetName() == "left lung relevance"


def test_left_and_right_of_a_pair_look_different(scan):
    left, _ = show_answer(scan, answer(scan), threshold=None, index=0)
    right, _ = show_answer(scan, answer(scan, prompt="right lung", concept="right lung"), threshold=None, index=1)
    assert np.abs(np.subtract(left["color"], right["color"])).max() > 0.1


def test_millilitres_are_not_told_where_the_answer_has_no_physical_scale(scene):
    film = node_from_volume(scene, Volume(np.ones((1, 1, 4, 5), np.float32), np.eye(4)), "film")
    relevance = replace(answer(film), volume=volume_from_node(film, modality="XR"))
    row, _ = show_answer(film, relevance, threshold=None, index=0)
    assert row["volume_ml"] is None
    apply_threshold(film, row, 0.7)
    assert row["volume_ml"] is None
