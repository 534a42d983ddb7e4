"""Volume nodes and `Volume`, on a real scene."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
import vtk

from MaskWhatMattersLib.bridge.nodes import node_from_volume, place_beside, unique_name, volume_from_node
from MaskWhatMattersLib.errors import GeometryError, InputError
from MaskWhatMattersLib.volumes import Volume


def test_volume_survives_the_way_into_the_scene_and_back(scene, volume):
    back = volume_from_node(node_from_volume(scene, volume))
    np.testing.assert_allclose(back.affine, volume.affine, atol=1e-9)
    np.testing.assert_array_equal(back.array, volume.array)
    assert back.array.dtype == volume.array.dtype


@pytest.mark.parametrize("dtype", [np.int16, np.uint8, np.uint16, np.int32, np.float32, np.float64])
def test_number_type_is_kept(scene, dtype):
    volume = Volume(np.ones((1, 2, 3, 4), dtype), np.eye(4))
    assert volume_from_node(node_from_volume(scene, volume)).array.dtype == dtype


def test_parent_transform_is_applied_to_the_copy_alone(scene, volume, moved):
    node = node_from_volume(scene, volume)
    transform = moved(node)
    before = node.GetMTime()
    world = volume_from_node(node).affine
    ijk, ras = np.array([3.0, 2.0, 1.0, 1.0]), np.zeros(3)
    transform.GetTransformToParent().TransformPoint((volume.affine @ ijk)[:3], ras)
    np.testing.assert_allclose((world @ ijk)[:3], ras, atol=1e-6)
    assert node.GetMTime() == before


def test_chained_parent_transforms_are_composed(scan, moved):
    inner = moved(scan)
    once = volume_from_node(scan).affine
    outer = moved(inner)
    matrix = np.array(slicer.util.arrayFromTransformMatrix(outer))
    np.testing.assert_allclose(volume_from_node(scan).affine, matrix @ once, atol=1e-6)


def test_copy_does_not_follow_later_edits_of_the_node(scan):
    copy = volume_from_node(scan)
    slicer.util.arrayFromVolume(scan)[:] = -1
    assert copy.array.min() == 0


def test_non_linear_transform_is_refused_with_advice(scene, scan):
    scan.SetAndObserveTransformNodeID(scene.AddNewNodeByClass("vtkMRMLBSplineTransformNode", "warp").GetID())
    scene.GetFirstNodeByName("warp").SetAndObserveTransformToParent(vtk.vtkThinPlateSplineTransform())
    with pytest.raises(GeometryError, match=r"non-linear.*warp.*Harden.*resample"):
        volume_from_node(scan)


def test_shearing_transform_is_refused(scan, moved):
    transform = moved(scan)
    sheared = np.eye(4)
    sheared[0, 1] = 0.5
    slicer.util.updateTransformMatrixFromArray(transform, sheared)
    with pytest.raises(GeometryError, match="shear"):
        volume_from_node(scan)


def node_of_colors(scene, colors, name="photo"):
    """Vector volume node of one slice, [H, W, 3], as Slicer reads pictures."""
    node = scene.AddNewNodeByClass("vtkMRMLVectorVolumeNode", name)
    slicer.util.updateVolumeFromArray(node, np.ascontiguousarray(colors[np.newaxis]))
    return node


def test_vectors_are_refused(scene):
    with pytest.raises(InputError, match=r'"field" has 3 values per voxel.*grey'):
        volume_from_node(node_of_colors(scene, np.ones((4, 5, 3), np.float32), "field"))


def test_true_colour_is_refused(scene):
    colors = np.zeros((4, 5, 3), np.uint8)
    colors[..., 0] = 200
    with pytest.raises(InputError, match=r'"photo".*true colour'):
        volume_from_node(node_of_colors(scene, colors))


def test_grey_stored_as_colour_is_read(scene):
    grey = np.arange(20, dtype=np.uint8).reshape(4, 5)
    volume = volume_from_node(node_of_colors(scene, np.repeat(grey[..., np.newaxis], 3, axis=-1)))
    np.testing.assert_array_equal(volume.array, grey[np.newaxis, np.newaxis])


def test_one_slice_called_x_ray_by_the_user_has_no_physical_scale(scene, scan):
    film = node_from_volume(scene, Volume(np.ones((1, 1, 4, 5), np.float32), np.eye(4)), "film")
    assert volume_from_node(film).has_physical_scale
    assert not volume_from_node(film, modality="XR").has_physical_scale
    assert volume_from_node(scan, modality="XR").has_physical_scale


def test_volume_without_voxels_is_refused(scene):
    with pytest.raises(InputError, match=r'"empty" has no voxels'):
        volume_from_node(scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "empty"))


def test_no_volume_at_all_is_refused():
    with pytest.raises(InputError, match="no volume"):
        volume_from_node(None)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_missing_values_are_refused_or_replaced_by_the_darkest(scene, bad):
    array = np.full((1, 2, 2, 2), 5.0, np.float32)
    array[0, 0, 0, 0], array[0, 1, 1, 1] = bad, -3.0
    node = node_from_volume(scene, Volume(array, np.eye(4)), "gaps")
    with pytest.raises(InputError, match=r'1 voxels of "gaps".*Replace missing values'):
        volume_from_node(node, replace_nan=False)
    with pytest.raises(InputError, match=r'1 voxels of "gaps".*Repair the volume first'):
        volume_from_node(node)  # where no such choice is offered
    assert volume_from_node(node, replace_nan=True).array[0, 0, 0, 0] == -3.0


def test_modality_comes_from_the_series_in_subject_hierarchy(scene, scan):
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    assert volume_from_node(scan).modality is None
    hierarchy.SetItemAttribute(hierarchy.GetItemByDataNode(scan), "DICOM.Modality", "DX")
    assert volume_from_node(scan).modality == "XR"
    assert volume_from_node(scan, modality="CT").modality == "CT"


def test_picture_has_no_physical_scale(scene, scan):
    storage = scene.AddNewNodeByClass("vtkMRMLVolumeArchetypeStorageNode")
    storage.SetFileName("chest.JPG")
    scan.SetAndObserveStorageNodeID(storage.GetID())
    assert not volume_from_node(scan).has_physical_scale


def test_names_of_other_nodes_are_left_alone(scene, scan):
    scan.SetName("left lung")
    assert unique_name(scene, "left lung") == "left lung (2)"
    assert unique_name(scene, "liver") == "liver"


def test_node_is_placed_under_the_same_study(scene, scan):
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    place_beside(node, scan)
    parent = hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node))
    assert hierarchy.GetItemName(parent) == "study"
