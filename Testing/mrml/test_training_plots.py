"""Curves of a training as nodes of the scene."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
from vtk.util.numpy_support import vtk_to_numpy

from MaskWhatMattersLib.bridge.training_plots import TITLE, TrainingPlots

CLASSES = ("vtkMRMLPlotChartNode", "vtkMRMLPlotSeriesNode", "vtkMRMLTableNode")


@pytest.fixture
def plots(scene) -> TrainingPlots:
    slicer.vtkSlicerPlotsLogic().SetMRMLScene(scene)  # registers the plot nodes
    slicer.vtkSlicerTablesLogic().SetMRMLScene(scene)
    return TrainingPlots(scene)


def names(scene) -> list[str]:
    nodes = [scene.GetNthNodeByClass(i, c) for c in CLASSES for i in range(scene.GetNumberOfNodesByClass(c))]
    return [node.GetName() for node in nodes]


def curve(plots, index) -> np.ndarray:
    """Points (step, value) that the chart's series of a number shows."""
    series = plots.chart.GetNthPlotSeriesNode(index)
    table = series.GetTableNode().GetTable()
    columns = (series.GetXColumnName(), series.GetYColumnName())
    return np.stack([vtk_to_numpy(table.GetColumnByName(name)) for name in columns], axis=1)


def test_training_without_a_point_leaves_the_scene_alone(scene, plots):
    plots.update()
    plots.remove()
    assert plots.chart is None
    assert names(scene) == []


def test_loss_and_dice_have_their_own_steps(scene, plots):
    plots.add(10, loss=0.9)
    plots.add(20, loss=0.7, score=0.5)
    np.testing.assert_allclose(curve(plots, 0), [[10, 0.9], [20, 0.7]])
    np.testing.assert_allclose(curve(plots, 1), [[20, 0.5]])
    assert plots.chart.GetName() == TITLE
    assert names(scene)[1:3] == ["Training loss", "Validation Dice"]


def test_views_are_told_when_points_are_shown(plots):
    plots.add(10, loss=0.9)
    plots.update()
    told = []
    plots.chart.AddObserver(plots.chart.PlotModifiedEvent, lambda *_: told.append(1))
    plots.update()
    assert told == []
    plots.add(20, loss=0.8)
    plots.update()
    assert told


def test_next_training_takes_the_nodes_over_and_begins_empty(scene, plots):
    plots.add(10, loss=0.9, score=0.1)
    before = names(scene)
    following = TrainingPlots(scene)
    assert len(curve(plots, 0)) == 1
    following.add(5, loss=0.4)
    assert names(scene) == before
    assert following.chart is plots.chart
    np.testing.assert_allclose(curve(following, 0), [[5, 0.4]])
    assert len(curve(following, 1)) == 0


def test_trainings_of_different_titles_have_charts_of_their_own(scene, plots):
    plots.add(1, loss=1.0)
    other = TrainingPlots(scene, "Pretraining", score=None)
    other.add(1, loss=0.5, score=0.9)
    assert other.chart is not plots.chart
    assert other.chart.GetNumberOfPlotSeriesNodes() == 1
    other.remove()
    np.testing.assert_allclose(curve(plots, 0), [[1, 1.0]])


def test_curve_that_the_next_training_has_not_goes(scene, plots):
    plots.add(1, loss=1.0, score=0.5)
    TrainingPlots(scene, score="Validation accuracy").add(1, loss=1.0)
    assert "Validation Dice" not in names(scene)
    assert "Validation accuracy" in names(scene)


def test_third_curve_has_the_score_of_something_to_compare_with(scene):
    slicer.vtkSlicerPlotsLogic().SetMRMLScene(scene)
    slicer.vtkSlicerTablesLogic().SetMRMLScene(scene)
    plots = TrainingPlots(scene, "Tuning", "Dice", "Dice of a plain network")
    plots.add(5, score=0.4, baseline=0.1)
    plots.add(10, loss=0.9, baseline=0.3)
    np.testing.assert_allclose(curve(plots, 2), [[5, 0.1], [10, 0.3]])
    assert plots.score_name == "Dice"


def test_removing_takes_only_our_nodes(scene, plots):
    scene.AddNewNodeByClass("vtkMRMLTableNode", "measurements of the user")
    plots.add(1, loss=1.0)
    plots.remove()
    assert names(scene) == ["measurements of the user"]


def test_loss_that_is_not_a_number_is_left_out(plots):
    plots.add(1, loss=float("nan"))
    assert plots.chart is None
    plots.add(2, loss=1.0)
    assert len(curve(plots, 0)) == 1


def test_scene_closed_meanwhile_does_no_harm(scene, plots):
    plots.add(1, loss=1.0)
    scene.Clear(False)
    plots.add(2, loss=0.5)
    plots.update()
    plots.remove()
    assert names(scene) == []
