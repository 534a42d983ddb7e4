"""What tabs that train show alike: the curves of a run, problems in red, and the scene whose nodes come and go."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from slicer.i18n import tr as _

from MaskWhatMattersLib.bridge.training_plot_view import TrainingPlotView
from MaskWhatMattersLib.bridge.training_plots import ChartInLayout

_PROBLEM_COLOR = "#c62828"
_PROBLEMS_SHOWN = 4


class TrainingCurves:
    """The curves of a training in the panel, and large in Slicer's plot view on demand.

    Uses plotFrame, plotContainer, pointLabel and showPlotButton.

    Args:
        ui: Widgets by name.
    """

    def __init__(self, ui: Any) -> None:
        self._ui = ui
        self.plot = TrainingPlotView(ui.plotContainer)
        self._large_plot = ChartInLayout()
        ui.plotFrame.visible = False
        ui.showPlotButton.connect("toggled(bool)", self._on_show_plot)

    def show(self, run: Any, point: str) -> None:
        """Draw the curves of a run; hides them where there are none, or where their scene was closed.

        Args:
            run: A `TrainingRun`.
            point: The last point in words.
        """
        chart = run.plots.chart
        if chart is None or chart.GetScene() is None:
            self.close()
            return
        self.plot.show(chart)
        self._ui.plotFrame.visible = True
        self._ui.pointLabel.text = point

    def close(self) -> None:
        """Forget the chart; before its scene is closed and before the panel goes."""
        self.plot.close()
        self._ui.plotFrame.visible = False

    def _on_show_plot(self, pressed: bool) -> None:
        chart = self.plot.chart
        if pressed and chart is not None:
            self._large_plot.show(chart)
        else:
            self._large_plot.hide()


class NodesWatch:
    """Tells when nodes of a scene come or go; once for many that are loaded together.

    Args:
        on_change: Called without arguments.
    """

    def __init__(self, on_change: Callable[[], None]) -> None:
        self._on_change = on_change
        self._observers: list[tuple[Any, int]] = []

    def follow(self, scene: Any) -> None:
        """Watch a scene instead of the one before; None watches none."""
        for observed, tag in self._observers:
            observed.RemoveObserver(tag)
        self._observers = []
        if scene is not None:
            events = (scene.NodeAddedEvent, scene.NodeRemovedEvent, scene.EndBatchProcessEvent)
            self._observers = [(scene, scene.AddObserver(event, self._on_nodes)) for event in events]

    def _on_nodes(self, scene: Any, _event: str) -> None:
        if not scene.IsBatchProcessing():
            self._on_change()


def problems_in_red(problems: Sequence[str]) -> str:
    """Problems as rich text, the first ones of many."""
    lines = "\n".join(problems).splitlines()
    more = [_("... and {count} more").format(count=len(lines) - _PROBLEMS_SHOWN)] * (len(lines) > _PROBLEMS_SHOWN)
    text = "<br>".join(line.replace("&", "&amp;").replace("<", "&lt;") for line in lines[:_PROBLEMS_SHOWN] + more)
    return f'<span style="color:{_PROBLEM_COLOR}">{text}</span>'
