"""What the slice views show."""

from __future__ import annotations

from typing import Any

import slicer

from MaskWhatMattersLib.bridge import ownership

VOLUME_CLASSES = ("vtkMRMLScalarVolumeNode", "vtkMRMLVectorVolumeNode")
"""Nodes that can be asked about: scans, and pictures, which Slicer reads as colours even where they are grey."""


SCALAR_CLASSES = ("vtkMRMLScalarVolumeNode",)
"""Nodes that can be segmented: scans, and no label maps, whose class is made from the same one."""


def shown_volume(scene: Any, classes: tuple[str, ...] = VOLUME_CLASSES) -> Any:
    """The scan in the background of the red slice view, else the first scan of the scene, else None."""
    red = scene.GetNodeByID("vtkMRMLSliceCompositeNodeRed")
    shown = scene.GetNodeByID(red.GetBackgroundVolumeID() or "") if red is not None else None
    if _is_scan(shown, classes):
        return shown
    count = scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode")  # with the classes made from it
    nodes = [scene.GetNthNodeByClass(index, "vtkMRMLScalarVolumeNode") for index in range(count)]
    scans = [node for node in nodes if _is_scan(node, classes)]
    return min(scans, key=lambda node: classes.index(node.GetClassName()), default=None)


def scalar_scans(scene: Any, classes: tuple[str, ...] = SCALAR_CLASSES) -> list[Any]:
    """Scans of the scene, in the order in which they were loaded; our overlays are none."""
    count = scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode")  # with the classes made from it
    nodes = [scene.GetNthNodeByClass(index, "vtkMRMLScalarVolumeNode") for index in range(count)]
    return [node for node in nodes if _is_scan(node, classes)]


def scans_of_study(volume_node: Any) -> tuple[list[Any], str]:
    """Scans in the same study of the subject hierarchy, and the study's name; without a study all scans, and "".

    Localizers and other single slices are left out.

    Args:
        volume_node: One of the scans; stays whatever it is, for it was chosen.
    """
    scans = [one for one in scalar_scans(volume_node.GetScene()) if one is volume_node or not _is_single_slice(one)]
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(volume_node.GetScene())
    study = _study_of(hierarchy, volume_node)
    if not study:
        return scans, ""
    return [one for one in scans if _study_of(hierarchy, one) == study], str(hierarchy.GetItemName(study))


def fit_slice_views() -> None:
    """Fit what the slice views show; without a main window there are none."""
    if slicer.app.layoutManager() is not None:
        slicer.util.resetSliceViews()


def _is_scan(node: Any, classes: tuple[str, ...]) -> bool:
    return node is not None and node.GetClassName() in classes and not ownership.is_ours(node)


def _is_single_slice(node: Any) -> bool:
    """Whether a volume is one voxel thick; one without voxels is not, so that the user is told of it."""
    image = node.GetImageData()
    return image is not None and 1 in image.GetDimensions()


def _study_of(hierarchy: Any, node: Any) -> int:
    """Item of the study that a node is in; 0 without one, and for a node without an item, as during an import."""
    item = hierarchy.GetItemByDataNode(node)
    level = slicer.vtkMRMLSubjectHierarchyConstants.GetDICOMLevelStudy()
    return int(hierarchy.GetItemAncestorAtLevel(item, level)) if item else 0
