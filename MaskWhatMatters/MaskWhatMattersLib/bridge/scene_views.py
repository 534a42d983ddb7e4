"""What the slice views show."""

from __future__ import annotations

from typing import Any

from MaskWhatMattersLib.bridge import ownership


def shown_volume(scene: Any) -> Any:
    """The scan in the background of the red slice view, else the first scan of the scene, else None."""
    red = scene.GetNodeByID("vtkMRMLSliceCompositeNodeRed")
    shown = scene.GetNodeByID(red.GetBackgroundVolumeID() or "") if red is not None else None
    if _is_scan(shown):
        return shown
    count = scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode")
    nodes = (scene.GetNthNodeByClass(index, "vtkMRMLScalarVolumeNode") for index in range(count))
    return next((node for node in nodes if _is_scan(node)), None)


def _is_scan(node: Any) -> bool:
    return node is not None and node.GetClassName() == "vtkMRMLScalarVolumeNode" and not ownership.is_ours(node)
