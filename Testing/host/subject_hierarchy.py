"""Gives every node its item in the subject hierarchy, which in Slicer a Qt plugin does when a node is added."""

from __future__ import annotations

from typing import Any

import slicer
import vtk

_SHOWN_CLASSES = (
    "vtkMRMLVolumeNode",
    "vtkMRMLSegmentationNode",
    "vtkMRMLModelNode",
    "vtkMRMLMarkupsNode",
    "vtkMRMLTransformNode",
    "vtkMRMLTableNode",
    "vtkMRMLTextNode",
)


def follow_scene(scene: Any) -> None:
    """Create items for the nodes that the subject hierarchy shows, from now on."""

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def add_item(_scene: Any, _event: str, node: Any) -> None:
        if scene.IsImporting() or node.GetHideFromEditors() or not any(node.IsA(name) for name in _SHOWN_CLASSES):
            return
        hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
        if hierarchy.GetItemByDataNode(node) == hierarchy.GetInvalidItemID():
            hierarchy.CreateItem(hierarchy.GetSceneItemID(), node)

    slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    scene.AddObserver(scene.NodeAddedEvent, add_item)
