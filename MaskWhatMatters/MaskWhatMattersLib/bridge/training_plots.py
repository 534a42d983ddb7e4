"""The curves of a training as Slicer nodes: tables, plot series and one chart, used again by the next training."""

from __future__ import annotations

import math
from typing import Any

import slicer
import vtk

from MaskWhatMattersLib.bridge.nodes import Node

STEP = "Step"
LOSS = "Training loss"
DICE = "Validation Dice"
TITLE = "Adaptation to my site"

_KIND = "MaskWhatMatters.TrainingPlot"
_COLORS = ((0.85, 0.37, 0.01), (0.11, 0.47, 0.70), (0.40, 0.40, 0.40))  # told apart by people who see few colours, too


class TrainingPlots:
    """Loss and, where there are any, validation scores over the steps of one training.

    Nodes appear with the first point, so that a training that never began leaves nothing. Curves of an earlier training
    of the same title in the same scene give way to the new ones. Loss and scores have a table each: they come at
    different steps.

    Args:
        scene: Scene that gets the nodes.
        title: Of the chart; trainings of different titles have charts of their own.
        score: What the second curve shows; None for the loss alone.
        baseline: What a third curve shows, the same score of something to compare with; None without one.
    """

    def __init__(self, scene: Any, title: str = TITLE, score: str | None = DICE, baseline: str | None = None) -> None:
        self._scene, self._title = scene, title
        self.score_name = score
        """Of the second curve; None without one."""
        self._names = [LOSS, *(name for name in (score, baseline) if name is not None)]
        self._columns: dict[str, tuple[Any, Any]] = {}
        self._tables: dict[str, Node] = {}
        self._changed: set[str] = set()
        self.chart: Node | None = None
        """vtkMRMLPlotChartNode; None before the first point."""

    def add(
        self, step: int, *, loss: float | None = None, score: float | None = None, baseline: float | None = None
    ) -> None:
        """Take a point; `update` shows it. What is not finite is left out: a chart cannot draw it."""
        for name, value in zip(self._names, (loss, score, baseline), strict=False):
            if value is not None and math.isfinite(value):
                self._begin()
                steps, values = self._columns[name]
                steps.InsertNextValue(step)
                values.InsertNextValue(value)
                self._changed.add(name)

    def update(self) -> None:
        """Let the views draw what came since the last call."""
        for name in sorted(self._changed):
            if self._tables[name].GetScene() is not None:
                self._tables[name].GetTable().Modified()
        self._changed.clear()

    def remove(self) -> None:
        """Take the nodes of this training out of the scene."""
        if self.chart is not None and self.chart.GetScene() is not None:  # else its scene was closed
            for node in self._nodes():
                self._scene.RemoveNode(node)
        self.chart = None

    def _begin(self) -> None:
        if self.chart is not None:
            return
        for name, color in zip(self._names, _COLORS, strict=False):
            self._columns[name] = _column(STEP), _column(name)
            table = vtk.vtkTable()
            for column in self._columns[name]:
                table.AddColumn(column)
            self._tables[name] = self._node("vtkMRMLTableNode", f"{name} (table)")
            self._tables[name].SetAndObserveTable(table)
            series = self._node("vtkMRMLPlotSeriesNode", name)
            series.SetPlotType(series.PlotTypeScatter)
            series.SetMarkerStyle(series.MarkerStyleNone if name == LOSS else series.MarkerStyleCircle)
            series.SetLineWidth(2)
            series.SetColor(*color)
            series.SetXColumnName(STEP)
            series.SetYColumnName(name)
            series.SetAndObserveTableNodeID(self._tables[name].GetID())
        self._remove_others()
        self.chart = self._node("vtkMRMLPlotChartNode", self._title)
        self.chart.RemoveAllPlotSeriesNodeIDs()
        for name in self._names:
            self.chart.AddAndObservePlotSeriesNodeID(self._node("vtkMRMLPlotSeriesNode", name).GetID())
        self.chart.SetTitle(self._title)
        self.chart.SetXAxisTitle(STEP)
        self.chart.SetYAxisTitleVisibility(False)

    def _remove_others(self) -> None:
        """Take out curves of an earlier training of this title that this one has not, such as another score."""
        names = [self._title, *self._names, *(f"{name} (table)" for name in self._names)]
        ours = {f"{self._title}: {name}" for name in names}
        for node in self._nodes():
            if node.GetAttribute(_KIND) not in ours:
                self._scene.RemoveNode(node)

    def _node(self, class_name: str, name: str) -> Node:
        """Our node of a class and name in the scene, made where there is none."""
        for node in self._nodes():
            if node.IsA(class_name) and node.GetAttribute(_KIND) == f"{self._title}: {name}":
                return node
        node = self._scene.AddNewNodeByClass(class_name, name)
        node.SetAttribute(_KIND, f"{self._title}: {name}")
        return node

    def _nodes(self) -> list[Node]:
        """Every node of this title, the chart before what it shows, so that removing them in order warns of nothing."""
        found: list[Node] = []
        for class_name in ("vtkMRMLPlotChartNode", "vtkMRMLPlotSeriesNode", "vtkMRMLTableNode"):
            count = self._scene.GetNumberOfNodesByClass(class_name)
            found += [self._scene.GetNthNodeByClass(index, class_name) for index in range(count)]
        return [node for node in found if (node.GetAttribute(_KIND) or "").startswith(f"{self._title}: ")]


def _column(name: str) -> Any:
    column = vtk.vtkDoubleArray()
    column.SetName(name)
    return column


class ChartInLayout:
    """Shows a chart in Slicer's own plot view on demand, and gives the user's layout back afterwards."""

    def __init__(self) -> None:
        self._layout_before: int | None = None

    def show(self, chart: Node) -> None:
        """Go to the nearest layout with a plot view, and show the chart there."""
        manager = slicer.app.layoutManager()
        before = manager.layout if manager is not None else None
        slicer.modules.plots.logic().ShowChartInLayout(chart)
        if manager is not None and manager.layout != before:
            self._layout_before = before

    def hide(self) -> None:
        """The layout from before `show`, unless the user chose another one meanwhile."""
        manager = slicer.app.layoutManager()
        before, self._layout_before = self._layout_before, None
        if manager is None or before is None:
            return
        if manager.layout == slicer.modules.plots.logic().GetLayoutWithPlot(before):
            manager.setLayout(before)
