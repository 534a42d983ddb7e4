"""What a left atrium leaves in the scene: segmentation, overlay, figures, and nothing that was not asked for."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
import vtk

from MaskWhatMattersLib.bridge.corn_results import atrium_rows, disagreement_of, set_body_surface, show_atrium
from MaskWhatMattersLib.bridge.nodes import local_affine, node_from_volume, volume_from_node
from MaskWhatMattersLib.bridge.scene_views import scans_of_study, shown_volume
from MaskWhatMattersLib.bridge.segmentations import read_segment, write_segment
from MaskWhatMattersLib.corn.result import AtriumSegmentation
from MaskWhatMattersLib.errors import GeometryError
from MaskWhatMattersLib.volumes import Volume


def result_for(node, agreement=0.93, reasons=()):
    """Every third voxel is the atrium."""
    volume = volume_from_node(node)
    mask = (np.arange(volume.array.size).reshape(volume.array.shape) % 3 == 0).astype(np.uint8)
    return AtriumSegmentation(
        label_map=volume.with_array(mask),
        disagreement=volume.with_array(mask.astype(np.float32) / 4),
        probability=None,
        volume_ml=float(mask.sum()) * abs(np.linalg.det(volume.affine[:3, :3])) / 1000,
        agreement=agreement,
        boundary_entropy=0.3,
        review=bool(reasons),
        review_reasons=tuple(reasons),
        seconds=1.0,
        model="left-atrium 0.1.0",
        field_of_view="crop",
        research_only=True,
    )


def mask_of(segmentation, node):
    segment_id = segmentation.GetSegmentation().GetNthSegmentID(0)
    return read_segment(segmentation, segment_id, slicer.util.arrayFromVolume(node), local_affine(node))


def test_segmentation_and_overlay_lie_exactly_on_the_volume(scene, volume, moved):
    node = node_from_volume(scene, volume)
    transform = moved(node)
    result = result_for(node)
    segmentation, overlay = show_atrium(node, result)
    np.testing.assert_array_equal(mask_of(segmentation, node), result.label_map.array[0] > 0)
    np.testing.assert_allclose(volume_from_node(overlay).affine, volume_from_node(node).affine, atol=1e-9)
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(overlay), result.disagreement.array[0])
    assert overlay.GetTransformNodeID() == segmentation.GetTransformNodeID() == transform.GetID()


def test_segmentation_keeps_the_geometry_of_the_volume(scan):
    segmentation, _ = show_atrium(scan, result_for(scan))
    geometry = segmentation.GetSegmentation().GetConversionParameter("Reference image geometry")
    oriented = slicer.vtkSlicerSegmentationsModuleLogic.CreateOrientedImageDataFromVolumeNode(scan)
    assert geometry == slicer.vtkSegmentationConverter.SerializeImageGeometry(oriented)
    assert segmentation.GetNodeReference(segmentation.GetReferenceImageGeometryReferenceRole()) is scan


def test_segment_is_a_left_atrium_in_the_terminology(scan):
    segmentation, _ = show_atrium(scan, result_for(scan))
    segment = segmentation.GetSegmentation().GetNthSegment(0)
    tag = vtk.reference("")
    segment.GetTag(segment.GetTerminologyEntryTagName(), tag)
    assert str(tag) == (
        "Segmentation category and type - DICOM master list~SCT^123037004^Anatomical Structure"
        "~SCT^82471001^Left atrium~^^~Anatomic codes - DICOM master list~^^~^^|"
    )
    entry = slicer.vtkSlicerTerminologyEntry()
    assert slicer.vtkSlicerTerminologiesModuleLogic().DeserializeTerminologyEntry(str(tag), entry)
    assert entry.GetTypeObject().GetCodeValue() == "82471001"
    assert segment.GetName() == "Left atrium"


def test_nodes_are_named_after_the_volume_and_listed_beside_it(scene, scan):
    nodes = show_atrium(scan, result_for(scan))
    assert [node.GetName() for node in nodes] == ["scan left atrium", "scan disagreement"]
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    for node in nodes:
        parent = hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node))
        assert hierarchy.GetItemName(parent) == "study"


def test_figures_are_read_back_from_the_scene(scene, scan):
    result = result_for(scan, 0.81, ["a reason", "another; one"])
    segmentation, overlay = show_atrium(scan, result, 1.9)
    (row,) = atrium_rows(scene)
    assert (row.volume_node, row.segmentation) == (scan, segmentation)
    assert disagreement_of(scan) is overlay
    assert row.volume_ml == pytest.approx(result.volume_ml, abs=1e-4)
    assert row.indexed_ml_m2 == pytest.approx(result.volume_ml / 1.9, abs=1e-3)
    assert row.review_reasons == ("a reason", "another; one")
    assert (row.review, row.light, row.model, row.edited) == (True, "red", "left-atrium 0.1.0", False)
    set_body_surface(segmentation, None)
    assert atrium_rows(scene)[0].indexed_ml_m2 is None


def test_agreement_without_a_meaning_is_no_number(scene, scan):
    show_atrium(scan, result_for(scan, float("nan"), ["no left atrium found"]))
    (row,) = atrium_rows(scene)
    assert (row.agreement, row.light) == (None, "red")


def test_asking_again_updates_and_an_edit_is_counted_and_kept(scene, scan, moved):
    moved(scan)
    first, _ = show_atrium(scan, result_for(scan))
    again, _ = show_atrium(scan, result_for(scan))
    assert first is again
    painted = mask_of(first, scan)
    painted[:2] = True
    write_segment(first, first.GetSegmentation().GetNthSegmentID(0), painted, local_affine(scan))
    (row,) = atrium_rows(scene)
    voxel_ml = abs(np.linalg.det(local_affine(scan)[:3, :3])) / 1000
    assert (row.edited, row.volume_ml) == (True, pytest.approx(painted.sum() * voxel_ml))
    fresh, _ = show_atrium(scan, result_for(scan))
    assert fresh is not first
    np.testing.assert_array_equal(mask_of(first, scan), painted)


def test_node_of_the_user_with_the_same_name_is_never_touched(scene, scan):
    users = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "scan left atrium")
    before = users.GetMTime()
    ours, _ = show_atrium(scan, result_for(scan))
    assert (ours.GetName(), users.GetMTime()) == ("scan left atrium (2)", before)


def test_result_for_a_volume_that_changed_meanwhile_is_refused_and_leaves_nothing(scene, scan):
    late = result_for(scan)
    slicer.util.updateVolumeFromArray(scan, np.zeros((2, 2, 2)))
    before = scene.GetNumberOfNodes()
    with pytest.raises(GeometryError, match="changed while it was worked on"):
        show_atrium(scan, late)
    assert scene.GetNumberOfNodes() == before


def test_figures_survive_saving_and_loading_the_scene(scene, scan, tmp_path):
    show_atrium(scan, result_for(scan), 2.0)
    scene.SetURL(str(tmp_path / "scene.mrml"))
    assert scene.Commit()
    loaded = slicer.vtkMRMLScene()
    slicer.vtkMRMLApplicationLogic().SetMRMLScene(loaded)
    logic = slicer.vtkSlicerSegmentationsModuleLogic()
    logic.SetMRMLScene(loaded)
    loaded.SetURL(scene.GetURL())
    loaded.Import()
    segmentation = loaded.GetFirstNodeByName("scan left atrium")
    assert segmentation.GetAttribute("MaskWhatMatters.BodySurfaceM2") == "2.0000"
    assert segmentation.GetAttribute("MaskWhatMatters.Agreement") == "0.930000"


def test_scans_of_the_same_study_are_found(scene, scan):
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    study = hierarchy.GetItemParent(hierarchy.GetItemByDataNode(scan))
    second = node_from_volume(scene, volume_from_node(scan), "second")
    hierarchy.CreateItem(study, second)
    outside = node_from_volume(scene, volume_from_node(scan), "outside")
    hierarchy.CreateItem(hierarchy.GetSceneItemID(), outside)
    show_atrium(scan, result_for(scan))
    assert scans_of_study(scan) == ([scan, second], "study")
    assert scans_of_study(outside) == ([scan, second, outside], "")


@pytest.mark.parametrize("shape", [(1, 7, 8), (6, 1, 8), (6, 7, 1)])
def test_single_slices_are_no_scans_of_the_study_unless_chosen(scene, scan, shape):
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    study = hierarchy.GetItemParent(hierarchy.GetItemByDataNode(scan))
    localizer = node_from_volume(scene, Volume(np.zeros((1, *shape), np.float32), np.eye(4)), "localizer")
    hierarchy.CreateItem(study, localizer)
    assert scans_of_study(scan) == ([scan], "study")
    assert scans_of_study(localizer) == ([scan, localizer], "study")


def test_scan_without_an_item_has_no_study_and_causes_no_error(scene, scan, capfd):
    loose = node_from_volume(scene, volume_from_node(scan), "loose")
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    hierarchy.RemoveItem(hierarchy.GetItemByDataNode(loose), False)  # as during an import
    assert scans_of_study(loose)[1] == ""
    assert "GetItemAncestorAtLevel" not in capfd.readouterr().err


def test_pictures_in_colour_are_no_scans_to_segment(scene):
    scene.AddNewNodeByClass("vtkMRMLVectorVolumeNode", "photo")
    assert shown_volume(scene).GetName() == "photo"
    assert shown_volume(scene, ("vtkMRMLScalarVolumeNode",)) is None
