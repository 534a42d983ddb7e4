"""Stand-in for Slicer's plot view: the curves of a chart node, drawn plainly and anew when its nodes change."""

from __future__ import annotations

from typing import Any

import numpy as np
import slicer
import vtk
from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QColor, QPainter, QPen
from PySide6.QtWidgets import QWidget
from vtk.util.numpy_support import vtk_to_numpy

from .mrml_widgets import Observing
from .pythonqt import register_native

_MARGIN = 28


@register_native
class qMRMLPlotView(Observing, QWidget):
    """Follows a plot view node, the chart that it names, and the chart's series and tables."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._host_scene = self._host_view_node = self._host_chart = None
        self._host_drawn = 0

    def setMRMLScene(self, scene: Any) -> None:
        self._host_scene = scene

    def mrmlScene(self) -> Any:
        return self._host_scene

    def mrmlPlotViewNode(self) -> Any:
        return self._host_view_node

    def setMRMLPlotViewNode(self, node: Any) -> None:
        self._host_view_node = node
        self.host_observe("view", node, (vtk.vtkCommand.ModifiedEvent,), self._host_follow)
        self._host_follow()

    def fitToContent(self) -> None:
        self.update()

    def _host_follow(self, *_: Any) -> None:
        node = self._host_view_node
        self._host_chart = node.GetPlotChartNode() if node is not None else None
        events = (vtk.vtkCommand.ModifiedEvent, slicer.vtkMRMLPlotChartNode.PlotModifiedEvent)
        self.host_observe("chart", self._host_chart, events, self._host_redraw)
        self._host_redraw()

    def _host_redraw(self, *_: Any) -> None:
        self._host_drawn += 1
        self.update()

    def host_curves(self) -> dict[str, np.ndarray]:
        """Points [N, 2] of each series, by its name: what a person sees."""
        chart, curves = self._host_chart, {}
        for index in range(chart.GetNumberOfPlotSeriesNodes() if chart is not None else 0):
            series = chart.GetNthPlotSeriesNode(index)
            table = series.GetTableNode().GetTable() if series and series.GetTableNode() else None
            names = (series.GetXColumnName(), series.GetYColumnName()) if series else ()
            columns = [table.GetColumnByName(name) for name in names] if table is not None else []
            if len(columns) == 2 and None not in columns:
                points = [vtk_to_numpy(column).astype(float) for column in columns]
                curves[series.GetName()] = np.stack(points, axis=1)
        return curves

    def paintEvent(self, _event: Any) -> None:
        painter = QPainter(self)
        painter.fillRect(self.rect, QColor("white"))
        curves = {name: points for name, points in self.host_curves().items() if len(points)}
        if not curves:
            return
        both = np.concatenate(list(curves.values()))
        lower, upper = both.min(0), both.max(0)
        span = np.where(upper > lower, upper - lower, 1.0)
        size = np.array([self.width - 2 * _MARGIN, self.height - 2 * _MARGIN])
        painter.setPen(QColor("grey"))
        painter.drawRect(_MARGIN, _MARGIN, int(size[0]), int(size[1]))
        painter.drawText(_MARGIN, _MARGIN - 8, self._host_chart.GetTitle() or "")
        painter.drawText(_MARGIN, self.height - 8, f"{lower[0]:g}")
        painter.drawText(self.width - 2 * _MARGIN, self.height - 8, f"{upper[0]:g}")
        painter.drawText(2, _MARGIN + 8, f"{upper[1]:.2f}")
        painter.drawText(2, self.height - _MARGIN, f"{lower[1]:.2f}")
        for index, (name, points) in enumerate(curves.items()):
            series = self._host_chart.GetNthPlotSeriesNode(index)
            pen = QPen(QColor.fromRgbF(*series.GetColor()))
            pen.setWidthF(series.GetLineWidth())
            painter.setPen(pen)
            placed = (points - lower) / span * size
            path = [QPointF(_MARGIN + x, self.height - _MARGIN - y) for x, y in placed]
            painter.drawPolyline(path)
            for point in path if series.GetMarkerStyle() != series.MarkerStyleNone else ():
                painter.drawEllipse(point, 3, 3)
            painter.drawText(self.rect.adjusted(0, 10 + 14 * index, -_MARGIN - 6, 0), Qt.AlignRight, name)
