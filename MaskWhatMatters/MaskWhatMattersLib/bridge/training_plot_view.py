"""A small plot view inside a panel, so that curves can be watched without touching the user's layout."""

from __future__ import annotations

from typing import Any

import slicer

_LAYOUT_NAME = "MaskWhatMattersTraining"


class TrainingPlotView:
    """Makes Slicer's plot view when there is something to draw, and lets go of all nodes when asked to.

    Args:
        container: Widget with a layout that gets the view; hidden while there is no curve.
    """

    def __init__(self, container: Any) -> None:
        self._container = container
        self._view: Any = None
        self._node: Any = None
        container.visible = False

    @property
    def view(self) -> Any:
        """The qMRMLPlotView; None before the first chart."""
        return self._view

    @property
    def chart(self) -> Any:
        """The chart node that is drawn; None without one."""
        return self._node.GetPlotChartNode() if self._node is not None else None

    def show(self, chart: Any) -> None:
        """Draw a chart node; cheap when it is drawn already."""
        scene = chart.GetScene()
        if self._view is None:
            self._view = slicer.qMRMLPlotView()
            self._view.setMRMLScene(scene)
            self._container.layout().addWidget(self._view)
        if self._node is None or self._node.GetScene() is not scene:
            self._node = _view_node(scene, chart)
            self._view.setMRMLPlotViewNode(self._node)
        if self._node.GetPlotChartNodeID() != chart.GetID():
            self._node.SetPlotChartNodeID(chart.GetID())
        self._container.visible = True

    def close(self) -> None:
        """Forget the chart; before its scene is closed and before the panel goes."""
        self._container.visible = False
        if self._view is not None:
            self._view.setMRMLPlotViewNode(None)
            self._view.setMRMLScene(None)
            self._view.deleteLater()
            self._view = None
        if self._node is not None and self._node.GetScene() is not None:
            self._node.GetScene().RemoveNode(self._node)
        self._node = None


def _view_node(scene: Any, owner: Any) -> Any:
    """A view node that belongs to no layout, is not saved, and does not follow Slicer's choice of a chart."""
    node = slicer.vtkMRMLPlotViewNode()
    node.SetName(_LAYOUT_NAME)
    node.SetLayoutName(_LAYOUT_NAME)
    node.SetSaveWithScene(False)
    node.SetHideFromEditors(True)
    node.SetDoPropagatePlotChartSelection(False)
    node.SetAndObserveParentLayoutNodeID(owner.GetID())  # else Slicer's layout manager would make a view of its own
    return scene.AddNode(node)
