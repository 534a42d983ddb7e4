"""What the slice views show."""

from __future__ import annotations

from typing import Any

import slicer

from MaskWhatMattersLib.bridge import ownership

VOLUME_CLASSES = ("vtkMRMLScalarVolumeNode", "vtkMRMLVectorVolumeNode")
"""Nodes that can be asked about: scans, and pictures, which Slicer reads as colours even where they are grey."""


def shown_volume(scene: Any) -> Any:
    """The scan in the background of the red slice view, else the first scan of the scene, else None."""
    red = scene.GetNodeByID("vtkMRMLSliceCompositeNodeRed")
    shown = scene.GetNodeByID(red.GetBackgroundVolumeID() or "") if red is not None else None
    if _is_scan(shown):
        return shown
    count = scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode")  # with the classes made from it
    nodes = [scene.GetNthNodeByClass(index, "vtkMRMLScalarVolumeNode") for index in range(count)]
    scans = [node for node in nodes if _is_scan(node)]
    return min(scans, key=lambda node: VOLUME_CLASSES.index(node.GetClassName()), default=None)


def fit_slice_views() -> None:
    """Fit what the slice views show; without a main window there are none."""
    if slicer.app.layoutManager() is not None:
        slicer.util.resetSliceViews()


def _is_scan(node: Any) -> bool:
    return node is not None and node.GetClassName() in VOLUME_CLASSES and not ownership.is_ours(node)
