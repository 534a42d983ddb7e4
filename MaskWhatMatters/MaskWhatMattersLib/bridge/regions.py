"""What the user already drew, as a mask on the grid of a volume: a segment, a label map, or a box."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import slicer
import vtk

from MaskWhatMattersLib.bridge.nodes import (
    Array,
    Node,
    array_from_matrix,
    local_affine,
    volume_from_node,
    world_affine,
)
from MaskWhatMattersLib.bridge.segmentations import resample_segment
from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.volumes import Volume, resample_like
from MaskWhatMattersLib.volumes.geometry import Affine
from MaskWhatMattersLib.volumes.label_values import with_values

REGION_CLASSES = ("vtkMRMLSegmentationNode", "vtkMRMLLabelMapVolumeNode", "vtkMRMLMarkupsROINode")


def region_from_node(node: Node, volume_node: Node, segment_id: str | None = None) -> Volume:
    """The user's region on the grid of a volume, in world coordinates.

    Args:
        node: Segmentation, label map volume or markups ROI.
        volume_node: Scalar volume whose grid is wanted.
        segment_id: One segment of a segmentation; None takes all of them together.

    Returns:
        uint8 0/1, [1, D, H, W].

    Raises:
        InputError: Another kind of node, or a region that lies outside the volume.
    """
    if node is None:
        raise InputError("There is no region to use; found none selected. Choose a segmentation, label map or box.")
    shape = tuple(reversed(volume_node.GetImageData().GetDimensions()))
    affine = world_affine(volume_node)
    if node.IsA("vtkMRMLSegmentationNode"):
        inside = _segments(node, volume_node, shape, segment_id)
    elif node.IsA("vtkMRMLLabelMapVolumeNode"):
        grid = Volume(np.zeros((1, *shape), np.uint8), affine)
        inside = resample_like(volume_from_node(node), grid, "nearest", 0).array[0] != 0
    elif node.IsA("vtkMRMLMarkupsROINode"):
        inside = _box(node, shape, affine)
    else:
        raise InputError(
            f'"{node.GetName()}" is no region; found a {node.GetNodeTagName()}. '
            "Choose a segmentation, label map or box."
        )
    if not inside.any():
        raise InputError(
            f'The region "{node.GetName()}" has no voxel inside "{volume_node.GetName()}". '
            "Choose a region that overlaps the volume, or check its transform."
        )
    return Volume(inside.astype(np.uint8)[None], affine, name=node.GetName() or "")


def labels_from_node(node: Node, volume_node: Node, classes: Mapping[str, int]) -> tuple[Volume, float]:
    """Several labels of the user on the grid of a volume, in world coordinates.

    Args:
        node: Segmentation or label map volume.
        volume_node: Scalar volume whose grid is wanted.
        classes: Value to write for each segment's ID, or for each value of a label map as text; others are left out.

    Returns:
        uint8 [1, D, H, W], and the share of the marked voxels that several segments claim: the later one has them.

    Raises:
        InputError: None of them has a voxel inside the volume.
    """
    shape = tuple(reversed(volume_node.GetImageData().GetDimensions()))
    affine = world_affine(volume_node)
    labels = np.zeros(shape, np.uint8)
    claims = 0
    if node.IsA("vtkMRMLSegmentationNode"):
        for segment_id, value in classes.items():
            inside = _segments(node, volume_node, shape, segment_id)
            claims += int(inside.sum())
            labels[inside] = value
    else:
        grid = Volume(labels[None], affine)
        values = resample_like(volume_from_node(node), grid, "nearest", 0).array[0]
        labels = with_values(values, {int(text): value for text, value in classes.items()})
        claims = int(np.count_nonzero(labels))
    marked = int(np.count_nonzero(labels))
    if marked == 0:
        raise InputError(
            f'"{node.GetName()}" has no marked voxel inside "{volume_node.GetName()}". '
            "Choose the one that was drawn on this volume, or check its transform."
        )
    return Volume(labels[None], affine, name=node.GetName() or ""), (claims - marked) / marked


def segment_mask(node: Node, volume_node: Node, segment_id: str) -> Array:
    """One segment on the grid of a volume, bool [D, H, W]; all transforms are taken into account.

    Args:
        node: Segmentation.
        volume_node: Scalar volume whose grid is wanted.
        segment_id: Of the segment.
    """
    return _segments(node, volume_node, tuple(reversed(volume_node.GetImageData().GetDimensions())), segment_id)


def segment_names(node: Node) -> list[tuple[str, str]]:
    """(ID, name) of every segment of a segmentation node."""
    segmentation = node.GetSegmentation()
    ids = [segmentation.GetNthSegmentID(index) for index in range(segmentation.GetNumberOfSegments())]
    return [(segment_id, segmentation.GetSegment(segment_id).GetName()) for segment_id in ids]


def box_around(mask: Array, volume_node: Node, name: str) -> Node:
    """Add a markups box that encloses a mask, along the axes of the volume.

    Args:
        mask: [D, H, W], at least one voxel set.

    Raises:
        InputError: The mask is empty.
    """
    voxels = np.argwhere(mask)
    if len(voxels) == 0:
        raise InputError("There is nothing to put a box around; found an empty mask. Lower the threshold first.")
    lower, upper = voxels.min(0)[::-1] - 0.5, voxels.max(0)[::-1] + 0.5  # i, j, k at voxel borders
    affine = local_affine(volume_node)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    axes = affine[:3, :3] / spacing
    if np.linalg.det(axes) < 0:  # a box has right-handed axes; its extent is the same either way
        axes[:, 2] *= -1
    pose = vtk.vtkMatrix4x4()
    center = affine @ np.append((lower + upper) / 2, 1.0)
    for row in range(3):
        for column in range(3):
            pose.SetElement(row, column, axes[row, column])
        pose.SetElement(row, 3, center[row])
    node = volume_node.GetScene().AddNewNodeByClass("vtkMRMLMarkupsROINode", name)
    node.CreateDefaultDisplayNodes()
    node.SetAndObserveObjectToNodeMatrix(pose)
    node.SetSize(*((upper - lower) * spacing))
    if node.GetDisplayNode() is not None:
        node.GetDisplayNode().SetFillVisibility(False)
    node.SetAndObserveTransformNodeID(volume_node.GetTransformNodeID())
    return node


def _segments(node: Node, volume_node: Node, shape: tuple[int, ...], segment_id: str | None) -> Array:
    transform = vtk.vtkGeneralTransform()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(
        node.GetParentTransformNode(), volume_node.GetParentTransformNode(), transform
    )
    inside = np.zeros(shape, bool)
    for one in [segment_id] if segment_id else [one for one, _ in segment_names(node)]:
        inside |= resample_segment(node, one, shape, local_affine(volume_node), transform)
    return inside


def _box(node: Node, shape: tuple[int, ...], affine: Affine) -> Array:
    """Voxel centres inside a box; the box may be rotated against the grid."""
    object_from_voxel = np.linalg.inv(array_from_matrix(node.GetObjectToWorldMatrix())) @ affine
    half: Any = np.array(node.GetSize()) / 2 + 1e-6
    k, j, i = np.ogrid[: shape[0], : shape[1], : shape[2]]
    inside = np.ones(shape, bool)
    for axis in range(3):
        along = object_from_voxel[axis]
        inside &= np.abs(along[0] * i + along[1] * j + along[2] * k + along[3]) <= half[axis]
    return inside
