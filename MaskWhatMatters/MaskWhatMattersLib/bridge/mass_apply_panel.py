"""The tab "Apply example": what is marked in one volume is looked for in others."""

from __future__ import annotations

from typing import Any

from MaskWhatMattersLib.bridge.widgets import JobBar, SetupStrip

PACKAGES = ("torch", "monai", "safetensors")
"""Import names of what the network needs, beside what every job needs."""


class MassApplyPanel:
    """Connects the widgets of the .ui file with the parameter node and the module's logic.

    Args:
        ui: Widgets by name.
        logic: The module's logic; its `applyExample` is what Apply calls.
        setup: The strip above both tabs.
    """

    def __init__(self, ui: Any, logic: Any, setup: SetupStrip) -> None:
        self.ui, self.logic, self.setup = ui, logic, setup
        self.job = JobBar(ui, lambda: None, lambda: None)

    def required_packages(self) -> tuple[str, ...]:
        """Import names of the packages that this tab needs."""
        return PACKAGES

    def set_parameters(self, parameters: Any) -> None:
        """Follow a parameter node; None leaves the present one."""
        self.setup.forget()

    def leave(self) -> None:
        """The user goes to another module; a running job goes on."""

    def close(self) -> None:
        """Stop everything before the panel is destroyed."""

    def on_scene_closed(self) -> None:
        """Forget the last job of a scene that is gone."""

    def list_models(self) -> None:
        """Look for models again."""

    def refresh(self) -> None:
        """Show the parameter node in the widgets."""
        self.setup.refresh()
