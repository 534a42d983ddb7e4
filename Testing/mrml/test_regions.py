"""Regions of the user on the grid of a volume."""

from __future__ import annotations

import numpy as np
import pytest

from MaskWhatMattersLib.bridge.nodes import (
    local_affine,
    matrix_from_array,
    node_from_volume,
    set_voxels,
    volume_from_node,
)
from MaskWhatMattersLib.bridge.regions import box_around, region_from_node, segment_names
from MaskWhatMattersLib.bridge.segmentations import add_segment
from MaskWhatMattersLib.errors import InputError


@pytest.fixture
def block(volume) -> np.ndarray:
    mask = np.zeros(volume.spatial_shape, bool)
    mask[1:4, 2:6, 3:5] = True
    return mask


def segmentation_with(scene, affine, **masks):
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "regions")
    for name, mask in masks.items():
        add_segment(node, name, mask, affine, (1, 0, 0))
    return node


def test_segment_comes_back_voxel_for_voxel(scene, volume, block):
    scan = node_from_volume(scene, volume)
    node = segmentation_with(scene, volume.affine, a=block)
    region = region_from_node(node, scan, segment_names(node)[0][0])
    np.testing.assert_array_equal(region.array[0] > 0, block)
    np.testing.assert_allclose(region.affine, volume_from_node(scan).affine)


def test_one_segment_or_all_of_them(scene, volume, block):
    scan = node_from_volume(scene, volume)
    other = np.zeros_like(block)
    other[5, 0, 0] = True
    node = segmentation_with(scene, volume.affine, a=block, b=other)
    (_, _), (second, name) = segment_names(node)
    assert name == "b"
    np.testing.assert_array_equal(region_from_node(node, scan, second).array[0] > 0, other)
    np.testing.assert_array_equal(region_from_node(node, scan).array[0] > 0, block | other)


def test_segmentation_and_volume_under_different_transforms_are_matched_in_the_world(scene, volume, block, moved):
    scan = node_from_volume(scene, volume)
    node = segmentation_with(scene, volume.affine, a=block)
    moved(node)
    moved(scan)
    np.testing.assert_array_equal(region_from_node(node, scan).array[0] > 0, block)
    one_voxel = np.eye(4)
    one_voxel[:3, 3] = volume.affine[:3, 0]
    shift = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    shift.SetMatrixTransformToParent(matrix_from_array(one_voxel))
    scan.SetAndObserveTransformNodeID(None)
    node.SetAndObserveTransformNodeID(shift.GetID())
    np.testing.assert_array_equal(region_from_node(node, scan).array[0] > 0, np.roll(block, 1, axis=2))


def test_reading_a_segmentation_adds_nothing_to_it(scene, volume, block):
    scan = node_from_volume(scene, volume)
    node = segmentation_with(scene, volume.affine, a=block)
    before, nodes = node.GetSegmentation().GetMTime(), scene.GetNumberOfNodes()
    region_from_node(node, scan)
    assert node.GetSegmentation().GetMTime() == before
    assert scene.GetNumberOfNodes() == nodes


def test_label_map_of_another_grid_is_resampled(scene, volume, block):
    scan = node_from_volume(scene, volume)
    labels = scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "labels")
    fine = volume.affine @ np.diag([0.5, 0.5, 0.5, 1.0])
    fine[:3, 3] = (volume.affine @ [-0.25, -0.25, -0.25, 1])[:3]
    set_voxels(labels, block.repeat(2, 0).repeat(2, 1).repeat(2, 2).astype(np.uint8) * 7, fine)
    np.testing.assert_array_equal(region_from_node(labels, scan).array[0] > 0, block)


def test_box_encloses_a_mask_and_gives_it_back(scene, volume, block, moved):
    scan = node_from_volume(scene, volume)
    moved(scan)
    box = box_around(block, scan, "box")
    np.testing.assert_array_equal(region_from_node(box, scan).array[0] > 0, block)


def test_region_outside_the_volume_is_refused(scene, volume, block):
    scan = node_from_volume(scene, volume)
    far = local_affine(scan).copy()
    far[:3, 3] += 1000
    with pytest.raises(InputError, match="no voxel inside"):
        region_from_node(segmentation_with(scene, far, a=block), scan)


def test_node_that_is_no_region_is_refused(scene, volume):
    scan = node_from_volume(scene, volume)
    with pytest.raises(InputError, match="Choose a segmentation"):
        region_from_node(scene.AddNewNodeByClass("vtkMRMLModelNode", "skin"), scan)
    with pytest.raises(InputError, match="none selected"):
        region_from_node(None, scan)
