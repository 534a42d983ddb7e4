"""The layout manager without views: real slice logics and nodes, so that what is shown can be asked and rendered."""

from __future__ import annotations

from typing import Any

import slicer
import vtk
from PySide6.QtCore import Property, QObject, Signal

SLICE_VIEWS = (("Red", "Axial"), ("Yellow", "Sagittal"), ("Green", "Coronal"))
_OTHER_LAYOUTS = (
    slicer.vtkMRMLLayoutNode.SlicerLayoutConventionalView,
    slicer.vtkMRMLLayoutNode.SlicerLayoutConventionalPlotView,
    slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpRedSliceView,
    slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpPlotView,
)


class SliceWidget:
    """Slicer's qMRMLSliceWidget as far as logic and nodes go."""

    def __init__(self, logic: Any) -> None:
        self._logic = logic

    def sliceLogic(self) -> Any:
        return self._logic

    def mrmlSliceNode(self) -> Any:
        return self._logic.GetSliceNode()

    def mrmlSliceCompositeNode(self) -> Any:
        return self._logic.GetSliceCompositeNode()

    def fitSliceToBackground(self) -> None:
        fit_slice(self._logic)


class ThreeDWidget:
    """One 3D view: its node, and the camera reset asked for."""

    def __init__(self, view_node: Any) -> None:
        self._view_node = view_node

    def mrmlViewNode(self) -> Any:
        return self._view_node

    def threeDView(self) -> ThreeDWidget:
        return self

    def threeDController(self) -> ThreeDWidget:
        return self

    def resetFocalPoint(self) -> None:
        pass


class LayoutManager(QObject):
    layoutChanged = Signal(int)
    layout = Property(
        int, lambda self: self._host_layout.GetViewArrangement(), lambda self, value: self.setLayout(value)
    )

    def host_set_scene(self, scene: Any) -> None:
        """Slice nodes are singletons of the scene; they come back by themselves after it was cleared."""
        layout = slicer.vtkMRMLLayoutNode()
        for arrangement in (layout.SlicerLayoutFourUpView, layout.SlicerLayoutFourUpPlotView, *_OTHER_LAYOUTS):
            layout.AddLayoutDescription(arrangement, "<layout/>")
        layout.SetViewArrangement(layout.SlicerLayoutFourUpView)
        self._host_layout = scene.AddNode(layout)
        self._host_slices: dict[str, SliceWidget] = {}
        logics = vtk.vtkCollection()
        for name, orientation in SLICE_VIEWS:
            logic = slicer.vtkMRMLSliceLogic()
            logic.SetMRMLScene(scene)
            logic.AddSliceNode(name)
            logic.GetSliceNode().SetOrientation(orientation)
            logics.AddItem(logic)
            self._host_slices[name] = SliceWidget(logic)
        slicer.app.applicationLogic().SetSliceLogics(logics)
        view = slicer.vtkMRMLViewNode()
        view.SetLayoutName("1")
        view.SetSingletonTag("1")
        self._host_view = ThreeDWidget(scene.AddNode(view))

    def mrmlSliceLogics(self) -> Any:
        return slicer.app.applicationLogic().GetSliceLogics()

    def sliceViewNames(self) -> tuple[str, ...]:
        return tuple(self._host_slices)

    def sliceWidget(self, name: str) -> SliceWidget | None:
        return self._host_slices.get(name)

    threeDViewCount = 1

    def threeDWidget(self, _index: int) -> ThreeDWidget:
        return self._host_view

    def activeThreeDRenderer(self) -> None:
        return None

    def resetSliceViews(self) -> None:
        for widget in self._host_slices.values():
            widget.fitSliceToBackground()

    def resetThreeDViews(self) -> None:
        pass

    def setLayout(self, layout: int) -> None:
        self._host_layout.SetViewArrangement(layout)
        self.layoutChanged.emit(layout)


def fit_slice(logic: Any) -> None:
    node, background = logic.GetSliceNode(), logic.GetBackgroundLayer().GetVolumeNode()
    if background is not None:
        logic.FitSliceToVolume(background, *node.GetDimensions()[:2])
        logic.SnapSliceOffsetToIJK()
