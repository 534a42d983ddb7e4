"""What the tab "Pretrain" shows of a run: its curve, the last reconstruction, and what became of it."""

from __future__ import annotations

from typing import Any

from slicer.i18n import tr as _

from MaskWhatMattersLib.bridge.picture_view import PictureView
from MaskWhatMattersLib.bridge.training_plot_view import TrainingPlotView
from MaskWhatMattersLib.bridge.training_plots import ChartInLayout
from MaskWhatMattersLib.bridge.training_run import point_text

_HEIGHT = 150


class PretrainProgress:
    """Uses plotContainer, pointLabel, showPlotButton, pictureLabel, pictureTextLabel, resultLabel and their frames.

    Args:
        ui: Widgets by name.
    """

    def __init__(self, ui: Any) -> None:
        self.ui = ui
        self.plot = TrainingPlotView(ui.plotContainer)
        self.picture = PictureView(ui.pictureLabel, _HEIGHT)
        self._large_plot = ChartInLayout()
        ui.showPlotButton.connect("toggled(bool)", self._on_show_plot)
        self.clear()

    def clear(self) -> None:
        """Show nothing, as before a run."""
        self.picture.clear()
        for frame in (self.ui.plotFrame, self.ui.pictureFrame, self.ui.resultFrame):
            frame.visible = False

    def close(self) -> None:
        """Let go of the nodes of a scene that is being closed."""
        self.plot.close()
        self.ui.plotFrame.visible = False

    def show(self, run: Any) -> None:
        """Show how far a run is."""
        chart = run.plots.chart
        if chart is None or chart.GetScene() is None:
            self.close()
            return
        self.plot.show(chart)
        self.ui.plotFrame.visible = True
        self.ui.pointLabel.text = point_text(run.steps, run.loss)
        if run.picture is not None:
            step, png = run.picture
            self.ui.pictureFrame.visible = True
            self.picture.show(png)
            self.ui.pictureTextLabel.text = _("Original - masked - reconstructed, step {step}").format(step=step)

    def show_end(self, run: Any) -> None:
        """Show what became of a run."""
        self.show(run)
        if run.model is None or run.state == "paused":
            return
        text = (
            _("Made <b>{name}</b> in {steps} steps.")
            if run.state == "done"
            else _("Kept <b>{name}</b> after {steps} steps.")
        )
        parts = [text.format(name=run.name, steps=run.steps), _("It can be chosen as the start of a finetuning.")]
        self.tell(" ".join(map(str, [*parts, *run.notes])))
        if run.state != "done":
            self.ui.logLineLabel.text = _("Kept the model after {steps} steps").format(steps=run.steps)

    def tell(self, text: str) -> None:
        """Say what became of a run."""
        self.ui.resultLabel.text = text
        self.ui.resultFrame.visible = True

    def _on_show_plot(self, pressed: bool) -> None:
        chart = self.plot.chart
        if pressed and chart is not None:
            self._large_plot.show(chart)
        else:
            self._large_plot.hide()
