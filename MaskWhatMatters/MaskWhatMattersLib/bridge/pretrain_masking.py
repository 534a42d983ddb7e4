"""The part "What is hidden" of the tab "Pretrain": prompts, shares as sliders, and a live picture of a masked slice."""

from __future__ import annotations

from typing import Any

from slicer.i18n import tr as _

from MaskWhatMattersLib.bridge.acknowledgement import is_acknowledged
from MaskWhatMattersLib.bridge.panel_parameters import PanelParameters
from MaskWhatMattersLib.bridge.pretrain_preview import LivePreview
from MaskWhatMattersLib.bridge.pretrain_settings import HIDES_NOTHING, clean_prompts, masking_config
from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.relevance.registry import available_localizers


class PretrainMasking:
    """Connects prompts and sliders with the parameter node, and keeps the picture up to date.

    Args:
        ui: Widgets by name.
        parameters: Its node has the fields `pretrainPrompts`, `pretrainInside` and so on.
    """

    def __init__(self, ui: Any, parameters: PanelParameters) -> None:
        self.ui, self._parameters = ui, parameters
        self.preview = LivePreview(ui, lambda text: self._tell(text or self._in_short()))
        ui.promptEdit.connect(
            "textChanged()", lambda: self._parameters.store("pretrainPrompts", ui.promptEdit.toPlainText())
        )

    @property
    def prompts(self) -> tuple[str, ...]:
        """What matters; empty hides at random."""
        node = self._parameters.node
        return clean_prompts(node.pretrainPrompts) if node is not None else ()

    def call(self) -> dict[str, Any]:
        """What is hidden, as arguments of the module's logic."""
        node = self._parameters.node
        return {
            "prompts": list(self.prompts),
            "inside": node.pretrainInside / 100,
            "outside": node.pretrainOutside / 100,
            "ratio": node.pretrainRatio / 100,
            "equalBudget": node.pretrainEqualBudget,
            "localizer": node.pretrainLocalizer,
            "marginMm": float(node.pretrainMargin),
        }

    def problem(self) -> str:
        """Why nothing sensible would be hidden; empty when it would."""
        node = self._parameters.node
        if node is None:
            return ""
        info = available_localizers().get(node.pretrainLocalizer)
        if self.prompts and info is not None and info.needs_acknowledgement and not is_acknowledged(info.name):
            return str(
                _("{method} is for research only: choose it in the tab Relevance and tick the box there first")
            ).format(method=info.title)
        try:
            masking_config(node.pretrainMethod, **self.call())
        except InputError as error:
            return str(error)
        return ""

    def packages(self) -> tuple[str, ...]:
        """Import names of the packages that finding the prompts needs."""
        node = self._parameters.node
        info = available_localizers().get(node.pretrainLocalizer) if node is not None and self.prompts else None
        return tuple(info.requires) if info is not None else ()

    def show(self) -> None:
        """Show what the parameter node holds."""
        ui, node = self.ui, self._parameters.node
        if ui.promptEdit.toPlainText() != node.pretrainPrompts:
            ui.promptEdit.setPlainText(node.pretrainPrompts)
        hides = node.pretrainMethod != HIDES_NOTHING
        by_region = hides and bool(self.prompts)
        at_random = hides and (not self.prompts or node.pretrainEqualBudget)
        for names, visible in (
            (("promptLabel", "promptEdit"), hides),
            (("insideLabel", "insideSlider", "outsideLabel", "outsideSlider"), by_region),
            (("ratioLabel", "ratioSlider"), at_random),
            (("previewFrame",), hides),
            (("localizerLabel", "localizerCombo", "marginLabel", "marginSpinBox", "equalBudgetCheckBox"), by_region),
        ):
            for name in names:
                getattr(ui, name).visible = visible
        ui.ratioLabel.text = _("Hidden overall:") if by_region else _("Hidden:")
        if not hides or self.preview.last is None:
            self._tell(self._in_short())

    def _in_short(self) -> str:
        """What is hidden, before a picture says it more exactly."""
        node = self._parameters.node
        if node is not None and node.pretrainMethod == HIDES_NOTHING:
            return str(_("SimCLR hides nothing: it learns by comparing two views of each image."))
        if node is None or not self.prompts:
            return ""
        return str(_("{inside:.0f} % of what matters and {outside:.0f} % of the rest are hidden.")).format(
            inside=node.pretrainInside, outside=node.pretrainOutside
        )

    def _tell(self, text: str) -> None:
        self.ui.overallLabel.text = text
        self.ui.overallLabel.visible = bool(text)
