"""The tab "Segment": a heart scan in, its left atrium out; everything it knows is in the parameter node."""

from __future__ import annotations

from typing import Any

from slicer.i18n import tr as _

from MaskWhatMattersLib.bridge.compute_choice import fill_compute_combo, fill_device_combo, show_scheduler_fields
from MaskWhatMattersLib.bridge.panel_parameters import PanelParameters
from MaskWhatMattersLib.bridge.widgets import JobBar, SetupStrip


class CornSegmentPanel:
    """Connects the widgets of the .ui file with the parameter node and the module's logic.

    Args:
        ui: Widgets by name.
        logic: The module's logic.
        setup: The strip above both tabs.
    """

    def __init__(self, ui: Any, logic: Any, setup: SetupStrip) -> None:
        self.ui, self.logic, self.setup = ui, logic, setup
        self.run: Any = None
        fill_device_combo(ui.deviceCombo)
        fill_compute_combo(ui.computeCombo)
        self._parameters = PanelParameters(
            ui,
            {"device": ui.deviceCombo, "compute": ui.computeCombo},
            {"inputVolume": ui.inputSelector},
            self.refresh,
        )
        self.job = JobBar(ui, self.apply, self.cancel)

    def required_packages(self) -> tuple[str, ...]:
        """Import names of the packages that segmenting needs."""
        return ("torch", "monai", "safetensors")

    def set_parameters(self, parameters: Any) -> None:
        """Follow a parameter node; None leaves the present one."""
        self._parameters.follow(parameters)
        if parameters is not None and parameters.inputVolume is None:
            parameters.inputVolume = self.logic.shownVolume()
        self.refresh()

    def refresh(self) -> None:
        """Show the parameter node and say whether Apply can be pressed."""
        with self._parameters.showing() as there:
            if there:
                show_scheduler_fields(self.ui, self._parameters.node)
        self.setup.refresh()
        self.job.set_blocker(_("Not there yet"))

    def use_model(self, name: str) -> None:
        """Choose a model by its name, as after it was made in the other tab."""
        self._parameters.store("model", name)

    def apply(self) -> None:
        """Start the job that the panel describes."""

    def cancel(self) -> None:
        """Ask the running job to stop."""

    def on_scene_closed(self) -> None:
        """Forget the results of a scene that is gone."""
        self.job.clear()

    def close(self) -> None:
        """Stop everything before the panel is destroyed."""
        self.set_parameters(None)
