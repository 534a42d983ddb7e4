"""The tab "Pretrain"."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from MaskWhatMattersLib.bridge.widgets import SetupStrip


class PretrainPanel:
    """Placeholder of the tab.

    Args:
        ui: Widgets by name, of MaskWhatMattersPretrain.ui.
        logic: The module's logic.
        setup: The strip above the tabs.
    """

    def __init__(self, ui: Any, logic: Any, setup: SetupStrip, use_model: Callable[[str], None]) -> None:
        self.ui, self.logic, self.setup = ui, logic, setup
        self.run: Any = None

    def required_packages(self) -> tuple[str, ...]:
        """Import names of the packages that the tab needs."""
        return ()

    def set_parameters(self, parameters: Any) -> None:
        """Follow a parameter node; None leaves the present one."""

    def close(self) -> None:
        """Stop everything before the panel is destroyed."""

    def on_scene_closed(self) -> None:
        """Forget the results of a scene that is gone."""

    def refresh(self) -> None:
        """Show the parameter node and say whether Apply can be pressed."""

    def show(self) -> None:
        """The tab comes up."""

    def leave(self) -> None:
        """The tab or the module is left; a running job goes on."""
