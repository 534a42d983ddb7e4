"""What the tab "Finetune" starts from: the models that fit the task, or a network from scratch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from slicer.i18n import tr as _

from MaskWhatMattersLib.bridge.acknowledgement import acknowledge, is_acknowledged
from MaskWhatMattersLib.bridge.finetune_models import FROM_SCRATCH, StartModel, fits, start_models
from MaskWhatMattersLib.bridge.panel_parameters import PanelParameters


class StartChoice:
    """Connects startCombo, acknowledgeCheckBox and dimsCombo with `finetuneStartModel` and `finetuneDims`.

    Args:
        ui: Widgets by name.
        parameters: Its node keeps the choice.
        on_acknowledge: Called when the user agreed to a research model, or does not any more.
    """

    def __init__(self, ui: Any, parameters: PanelParameters, on_acknowledge: Callable[[], None]) -> None:
        self._ui, self._parameters, self._on_agreed = ui, parameters, on_acknowledge
        self._models: list[StartModel] = []
        self._listed: list[tuple[str, str]] = []
        ui.acknowledgeCheckBox.connect("toggled(bool)", self._on_acknowledge)
        for text, dims in ((_("Volumes (3D)"), 3), (_("Pictures and slices (2D)"), 2)):
            ui.dimsCombo.addItem(text, dims)

    @property
    def model(self) -> StartModel | None:
        """The model to start from; None from scratch, also where the model is not there any more."""
        combo = self._ui.startCombo
        chosen = combo.itemData(combo.currentIndex)
        return next((model for model in self._models if model.name == chosen), None)

    @property
    def name(self) -> str | None:
        """Name of the model to start from; None from scratch."""
        return self.model.name if self.model is not None else None

    @property
    def is_unacknowledged(self) -> bool:
        """Whether the model is for research only and the user has not agreed to that yet."""
        return self.model is not None and self.model.needs_acknowledgement and not is_acknowledged(self.model.name)

    def dims(self, *, is_folder: bool) -> int | None:
        """Dimensions of a network from scratch; None where the start model has its own."""
        if self.model is not None:
            return None
        node = self._parameters.node
        if node.finetuneTask == "detection":
            return 2
        return int(node.finetuneDims) if is_folder else 3

    def look(self) -> None:
        """Look for models again: one may have been made."""
        self._models = start_models()
        self.offer()

    def choose(self, name: str) -> None:
        """Choose a model; where the task cannot start from it, the task gives way."""
        self.look()
        node = self._parameters.node
        model = next((one for one in self._models if one.name == name), None)
        if node is None or model is None:
            return
        if not fits(model, node.finetuneTask):
            node.finetuneTask = "segmentation"
        node.finetuneStartModel = name

    def offer(self) -> None:
        """List the models that fit the task; the list changes only where it must."""
        node = self._parameters.node
        if node is None:
            return
        offered = [(one.name, one.title) for one in self._models if fits(one, node.finetuneTask)]
        offered.append((FROM_SCRATCH, str(_("None: from scratch"))))
        if offered == self._listed:
            return
        self._listed = offered
        with self._parameters.writing_nothing():
            combo = self._ui.startCombo
            combo.clear()
            for name, title in offered:
                combo.addItem(title, name)
            index = combo.findData(node.finetuneStartModel)
            combo.setCurrentIndex(index if index >= 0 else len(offered) - 1)

    def show(self, *, is_folder: bool) -> None:
        """Show what the parameter node holds."""
        ui, node = self._ui, self._parameters.node
        if ui.startCombo.findData(node.finetuneStartModel) < 0:
            ui.startCombo.setCurrentIndex(ui.startCombo.findData(FROM_SCRATCH))
        model = self.model
        ui.startCombo.toolTip = model.description if model is not None else _("The network begins from scratch")
        for widget in (ui.dimsLabel, ui.dimsCombo):
            widget.visible = model is None and is_folder and node.finetuneTask != "detection"
        for widget in (ui.acknowledgeSpacer, ui.acknowledgeCheckBox):
            widget.visible = model is not None and model.needs_acknowledgement
        if model is not None:
            ui.acknowledgeCheckBox.checked = is_acknowledged(model.name)

    def _on_acknowledge(self, checked: bool) -> None:
        if self.model is not None and not self._parameters.is_showing:
            acknowledge(self.model.name, checked)
            self._on_agreed()
