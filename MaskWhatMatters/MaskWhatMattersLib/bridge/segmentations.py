"""A mask as a segmentation: reference geometry, terminology, colour, and a place beside its volume."""

from __future__ import annotations

from typing import Any

import numpy as np
import slicer
import vtk

from MaskWhatMattersLib.bridge import ownership
from MaskWhatMattersLib.bridge.nodes import (
    Array,
    Node,
    follow_transform,
    local_affine,
    matrix_from_array,
    place_beside,
    unique_name,
)
from MaskWhatMattersLib.volumes.geometry import Affine

Color = tuple[float, float, float]
Code = tuple[str, str]

_TERMINOLOGY_CONTEXT = "Segmentation category and type - DICOM master list"
_ANATOMIC_CONTEXT = "Anatomic codes - DICOM master list"
_written: dict[str, int] = {}  # node ID -> when we last wrote voxels; VTK's time stamps never repeat
_FILL_OPACITY = 0.15  # the overlay shows the inside; the segment shows where it ends


def put_mask(
    volume_node: Node,
    mask: Array,
    facts: dict[str, Any],
    color: Color,
    terminology: str | None = None,
    *,
    kind: str = "mask",
    name: str | None = None,
    segment_name: str | None = None,
) -> Node:
    """Show a mask as a segmentation; ours for the same prompt is updated unless the user edited it, else one is added.

    Args:
        volume_node: Input volume; its geometry and parent transform are used.
        mask: Truth values or 0/1, [D, H, W].
        facts: "prompt", and what else is to be written down ("Model", "Localizer", "Concept").
        color: Red, green, blue in 0..1.
        terminology: Tag as Slicer stores it, from `terminology_tag`.
        kind: What `ownership` finds it by.
        name: Of a new node; the prompt when None.
        segment_name: Of its segment; the prompt when None.
    """
    facts = dict(facts)
    prompt = facts.pop("prompt")
    node = ownership.find_ours(volume_node, kind, prompt)
    if node is not None and not is_as_we_left_it(node):
        ownership.release(node)
        node = None
    if node is None:
        node = _new_segmentation(volume_node, name or prompt, segment_name or prompt, color, terminology)
    segment_id = node.GetSegmentation().GetNthSegmentID(0)
    write_segment(node, segment_id, mask, local_affine(volume_node))
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume_node)
    ownership.mark_as_ours(node, kind, prompt, volume_node, **facts)
    ownership.remember(node, mask)
    _written[node.GetID()] = _last_change(node)
    follow_transform(node, volume_node)
    place_beside(node, volume_node)
    return node


def add_segment(
    node: Node, name: str, mask: Array, affine: Affine, color: Color, terminology: str | None = None
) -> str:
    """Add a segment to a segmentation node.

    Args:
        mask: [D, H, W].
        affine: (i, j, k) to the coordinates of the segmentation node.

    Returns:
        The segment's ID.
    """
    segment = slicer.vtkSegment()
    segment.SetName(name)
    segment.SetColor(*color)
    if terminology:
        segment.SetTag(segment.GetTerminologyEntryTagName(), terminology)
    segment_id = node.GetSegmentation().GenerateUniqueSegmentID(name)
    node.GetSegmentation().AddSegment(segment, segment_id)
    write_segment(node, segment_id, mask, affine)
    return str(segment_id)


def write_segment(node: Node, segment_id: str, mask: Array, affine: Affine) -> None:
    """Replace the voxels of a segment; without a temporary node, so that no view flickers."""
    image = _oriented_image(mask.view(np.uint8) if mask.dtype == bool else mask.astype(np.uint8), affine)
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    logic.SetBinaryLabelmapToSegment(image, node, segment_id, logic.MODE_REPLACE)


def read_segment(node: Node, segment_id: str, like: Array, affine: Affine) -> Array:
    """Voxels of a segment on a grid in the segmentation's own coordinates.

    Args:
        like: Array whose shape [D, H, W] is wanted.
        affine: (i, j, k) of that grid to the coordinates of the segmentation node.

    Returns:
        bool, [D, H, W].
    """
    return resample_segment(node, segment_id, like.shape, affine, vtk.vtkTransform())


def resample_segment(node: Node, segment_id: str, shape: tuple[int, ...], affine: Affine, transform: Any) -> Array:
    """Voxels of a segment on another grid, bool [D, H, W].

    Args:
        shape: (D, H, W) of the grid.
        affine: (i, j, k) of the grid to some coordinates.
        transform: vtkAbstractTransform from the segmentation's coordinates to those.
    """
    segmentation = slicer.vtkSegmentation()  # a copy: the user's node gets no representation that it had not
    segmentation.SetSourceRepresentationName(node.GetSegmentation().GetSourceRepresentationName())
    segmentation.CopyConversionParameters(node.GetSegmentation())
    segmentation.CopySegmentFromSegmentation(node.GetSegmentation(), segment_id)
    name = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
    if not segmentation.ContainsRepresentation(name) and not segmentation.CreateRepresentation(name):
        return np.zeros(shape, bool)
    labels = segmentation.GetNthSegment(0).GetRepresentation(name)
    result = slicer.vtkOrientedImageData()
    if labels is None or labels.IsEmpty():
        return np.zeros(shape, bool)
    slicer.vtkOrientedImageDataResample.ResampleOrientedImageToReferenceOrientedImage(
        labels, _oriented_image(np.zeros(shape, np.uint8), affine), result, False, False, transform
    )
    from vtk.util.numpy_support import vtk_to_numpy

    values = vtk_to_numpy(result.GetPointData().GetScalars()).reshape(shape)
    return np.asarray(values == segmentation.GetNthSegment(0).GetLabelValue())


def is_as_we_left_it(node: Node) -> bool:
    """Whether the user added no segment and changed no voxel."""
    segmentation = node.GetSegmentation()
    if segmentation.GetNumberOfSegments() == 1 and _written.get(node.GetID()) == _last_change(node):
        return True  # nobody wrote since; the slow comparison is for scenes that were loaded, and for edits
    geometry = _stored_grid(node)
    if segmentation.GetNumberOfSegments() != 1 or geometry is None:
        return False
    shape, affine = geometry
    values = resample_segment(node, segmentation.GetNthSegmentID(0), shape, affine, vtk.vtkTransform())
    return ownership.is_untouched(node, values)


def terminology_tag(category: Code, type_code: Code, modifier: Code | None) -> str:
    """Terminology entry as Slicer stores it on a segment.

    Args:
        category: SNOMED CT code and meaning, for example ("123037004", "Anatomical Structure").
        type_code: The same for the type, for example ("39607008", "Lung").
        modifier: The same for the modifier, for example ("7771000", "Left"); None without one.
    """
    return terminology_entry(*[("SCT", *code) if code else None for code in (category, type_code, modifier)])


def terminology_entry(*terms: tuple[str, str, str] | None) -> str:
    """Terminology entry as Slicer stores it on a segment.

    Args:
        *terms: Scheme, code and meaning of category, type and modifier; None for one that is left open.
    """
    parts = ["^".join(term) if term else "^^" for term in terms]
    return "~".join([_TERMINOLOGY_CONTEXT, *parts, _ANATOMIC_CONTEXT, "^^", "^^"]) + "|"


def _last_change(node: Node) -> int:
    """Time stamp of the voxels of the first segment."""
    name = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
    segment = node.GetSegmentation().GetNthSegment(0)
    labels = segment.GetRepresentation(name) if segment else None
    return int(labels.GetMTime()) if labels else 0


def _new_segmentation(volume_node: Node, name: str, segment_name: str, color: Color, terminology: str | None) -> Node:
    scene = volume_node.GetScene()
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", unique_name(scene, name))
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume_node)
    segment = slicer.vtkSegment()
    segment.SetName(segment_name)
    segment.SetColor(*color)
    if terminology:
        segment.SetTag(segment.GetTerminologyEntryTagName(), terminology)
    node.GetSegmentation().AddSegment(segment)
    display = node.GetDisplayNode()
    display.SetOpacity2DFill(_FILL_OPACITY)
    return node


def _stored_grid(node: Node) -> tuple[tuple[int, ...], Affine] | None:
    """Reference geometry of a segmentation: (D, H, W) and affine in the segmentation's coordinates."""
    volume = node.GetNodeReference(node.GetReferenceImageGeometryReferenceRole())
    if volume is None or volume.GetImageData() is None:
        return None
    return tuple(reversed(volume.GetImageData().GetDimensions())), local_affine(volume)


def _oriented_image(array: Array, affine: Affine) -> Any:
    """uint8 array [D, H, W] and affine as vtkOrientedImageData."""
    from vtk.util.numpy_support import numpy_to_vtk

    depth, height, width = array.shape
    image = slicer.vtkOrientedImageData()
    image.SetDimensions(width, height, depth)
    image.GetPointData().SetScalars(numpy_to_vtk(np.ascontiguousarray(array).ravel(), deep=False))
    image.SetGeometryFromImageToWorldMatrix(matrix_from_array(affine))
    return image
