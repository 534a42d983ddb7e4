"""Stand-ins for the Segmentations module's widgets over real segmentation nodes."""

from __future__ import annotations

from typing import Any, ClassVar

import slicer
from PySide6.QtCore import Property, Signal
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QAbstractItemView, QComboBox, QHBoxLayout, QPushButton, QTableWidget, QTableWidgetItem

from .mrml_widgets import Observing, qMRMLNodeComboBox, qMRMLWidget
from .properties import stored_property
from .pythonqt import register_native

_SEGMENT_EVENTS = tuple(
    getattr(slicer.vtkSegmentation, name) for name in ("SegmentAdded", "SegmentRemoved", "SegmentModified")
)


def segment_ids(node: Any) -> list[str]:
    segmentation = node.GetSegmentation() if node is not None else None
    count = segmentation.GetNumberOfSegments() if segmentation is not None else 0
    return [segmentation.GetNthSegmentID(index) for index in range(count)]


@register_native
class qMRMLSegmentsTableView(Observing, qMRMLWidget):
    selectionChanged = Signal(object, object)
    host_signals: ClassVar = {
        **qMRMLWidget.host_signals,
        "selectionChanged(QItemSelection,QItemSelection)": "selectionChanged(PyObject,PyObject)",
    }
    selectionMode = stored_property(int, "selectionMode", 3)
    headerVisible = stored_property(bool, "headerVisible", True)
    visibilityColumnVisible = stored_property(bool, "visibilityColumnVisible", True)
    colorColumnVisible = stored_property(bool, "colorColumnVisible", True)
    opacityColumnVisible = stored_property(bool, "opacityColumnVisible", True)
    statusColumnVisible = stored_property(bool, "statusColumnVisible", False)
    filterBarVisible = stored_property(bool, "filterBarVisible", False)
    readOnly = stored_property(bool, "readOnly", False)

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._host_node = None
        self._host_table = QTableWidget(0, 2, self)
        self._host_table.setHorizontalHeaderLabels(["Color", "Name"])
        self._host_table.setSelectionBehavior(QAbstractItemView.SelectRows)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._host_table)
        self._host_table.itemSelectionChanged.connect(lambda: self.selectionChanged.emit(None, None))

    def setSegmentationNode(self, node: Any) -> None:
        self._host_node = node
        self.host_observe("segments", node and node.GetSegmentation(), _SEGMENT_EVENTS, self._host_refresh)
        self._host_refresh()

    def segmentationNode(self) -> Any:
        return self._host_node

    def selectedSegmentIDs(self) -> tuple[str, ...]:
        ids = segment_ids(self._host_node)
        return tuple(ids[row] for row in sorted({index.row() for index in self._host_table.selectedIndexes()}))

    def setSelectedSegmentIDs(self, wanted: list[str]) -> None:
        self._host_table.clearSelection()
        for row, segment_id in enumerate(segment_ids(self._host_node)):
            if segment_id in wanted:
                self._host_table.selectRow(row)

    def segmentCount(self) -> int:
        return len(segment_ids(self._host_node))

    def _host_refresh(self, *_: Any) -> None:
        ids = segment_ids(self._host_node)
        self._host_table.setRowCount(len(ids))
        for row, segment_id in enumerate(ids):
            segment = self._host_node.GetSegmentation().GetSegment(segment_id)
            swatch = QTableWidgetItem()
            swatch.setBackground(QColor.fromRgbF(*segment.GetColor()))
            self._host_table.setItem(row, 0, swatch)
            self._host_table.setItem(row, 1, QTableWidgetItem(segment.GetName()))


@register_native
class qMRMLSegmentationShow3DButton(QPushButton):
    """Checked: the closed surface exists and is shown in 3D."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__("Show 3D", parent)
        self._host_node = None
        self.setCheckable(True)
        self.toggled.connect(lambda value: self._host_show(value))

    def setSegmentationNode(self, node: Any) -> None:
        self._host_node = node
        self.setEnabled(node is not None)

    def segmentationNode(self) -> Any:
        return self._host_node

    def setMRMLScene(self, scene: Any) -> None:
        self._host_scene = scene

    def _host_show(self, shown: bool) -> None:
        if self._host_node is None:
            return
        self._host_node.CreateDefaultDisplayNodes()
        if shown:
            self._host_node.CreateClosedSurfaceRepresentation()
        self._host_node.GetDisplayNode().SetVisibility3D(shown)


@register_native
class qMRMLSegmentSelectorWidget(Observing, qMRMLWidget):
    """Chooses a segmentation and one of its segments."""

    currentNodeChanged = Signal(object)
    currentSegmentChanged = Signal(str)
    host_signals: ClassVar = {
        **qMRMLWidget.host_signals,
        "currentNodeChanged(vtkMRMLNode*)": "currentNodeChanged(PyObject)",
    }
    noneEnabled = stored_property(bool, "noneEnabled", False)
    segmentationNodeSelectorVisible = stored_property(bool, "segmentationNodeSelectorVisible", True)
    selectNodeUponCreation = stored_property(bool, "selectNodeUponCreation", True)
    horizontalLayout = stored_property(bool, "horizontalLayout", False)
    currentNodeID = Property(str, lambda self: self._host_nodes.currentNodeID)

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._host_nodes = qMRMLNodeComboBox(self)
        self._host_nodes.nodeTypes = ["vtkMRMLSegmentationNode"]
        self._host_nodes.noneEnabled = True
        self._host_segments = QComboBox(self)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._host_nodes)
        layout.addWidget(self._host_segments)
        self._host_nodes.currentNodeChanged.connect(lambda value: self._host_node_changed(value))
        self._host_segments.currentIndexChanged.connect(
            lambda _index: self.currentSegmentChanged.emit(self.currentSegmentID())
        )

    def setMRMLScene(self, scene: Any) -> None:
        super().setMRMLScene(scene)
        self._host_nodes.setMRMLScene(scene)

    def currentNode(self) -> Any:
        return self._host_nodes.currentNode()

    def setCurrentNode(self, node: Any) -> None:
        self._host_nodes.setCurrentNode(node)

    def currentSegmentID(self) -> str:
        return self._host_segments.currentData or ""

    def setCurrentSegmentID(self, segment_id: str) -> None:
        self._host_segments.setCurrentIndex(self._host_segments.findData(segment_id))

    def _host_node_changed(self, node: Any) -> None:
        self.host_observe("segments", node and node.GetSegmentation(), _SEGMENT_EVENTS, self._host_refresh)
        self._host_refresh()
        self.currentNodeChanged.emit(node)

    def _host_refresh(self, *_: Any) -> None:
        chosen, node = self.currentSegmentID(), self.currentNode()
        self._host_segments.clear()
        for segment_id in segment_ids(node):
            self._host_segments.addItem(node.GetSegmentation().GetSegment(segment_id).GetName(), segment_id)
        if chosen in segment_ids(node):
            self.setCurrentSegmentID(chosen)
