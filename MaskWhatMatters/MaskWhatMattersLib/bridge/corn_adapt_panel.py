"""The tab "Adapt to my site": labelled and unlabelled scans in, a model for this site out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from MaskWhatMattersLib.bridge.widgets import SetupStrip


class CornAdaptPanel:
    """Connects the widgets of the tab with the parameter node and the module's logic.

    Args:
        ui: Widgets by name, of CornSegmentationAdapt.ui.
        logic: The module's logic.
        setup: The strip above both tabs; `missing` names what is not installed.
        use_model: Called with the name of a model that was made, to choose it in the tab "Segment".
    """

    def __init__(self, ui: Any, logic: Any, setup: SetupStrip, use_model: Callable[[str], None]) -> None:
        self.ui, self.logic, self.setup, self._use_model = ui, logic, setup, use_model

    def required_packages(self) -> tuple[str, ...]:
        """Import names of the packages that adapting needs."""
        return ("torch", "monai", "safetensors", "lightning_fabric")

    def set_parameters(self, parameters: Any) -> None:
        """Follow a parameter node; None leaves the present one."""

    def refresh(self) -> None:
        """Show the parameter node and say whether the job can start."""

    def on_scene_closed(self) -> None:
        """Forget the results of a scene that is gone."""

    def close(self) -> None:
        """Stop everything before the panel is destroyed."""
