"""The line of the tab "Pretrain" from which a pretraining is paused, gone on with, or finished as it is."""

from __future__ import annotations

import json
from typing import Any

from slicer.i18n import tr as _

from MaskWhatMattersLib.bridge.panel_parameters import PanelParameters


class PausedPretraining:
    """Uses pauseFrame, pauseLabel, pauseButton, resumeButton and keepButton; the parameter node remembers.

    Args:
        ui: Widgets by name.
        parameters: Its node has the field `pretrainPaused`.
    """

    def __init__(self, ui: Any, parameters: PanelParameters) -> None:
        self._ui, self._parameters = ui, parameters

    @property
    def name(self) -> str:
        """Of the model; empty when nothing is paused."""
        return str(self._known().get("name", ""))

    @property
    def call(self) -> dict[str, Any]:
        """With what it was started: arguments of `Logic.pretrain`."""
        return dict(self._known().get("call", {}))

    def remember(self, run: Any, call: dict[str, Any]) -> None:
        """A pretraining was paused."""
        self._parameters.store("pretrainPaused", json.dumps({"name": run.name, "step": run.steps, "call": call}))

    def forget(self) -> None:
        """Nothing is paused any more."""
        self._parameters.store("pretrainPaused", "")

    def show(self, job_state: str, problem: str) -> None:
        """Offer what can be done now.

        Args:
            job_state: Of the job bar.
            problem: Why it cannot be gone on with; empty when it can.
        """
        ui, known = self._ui, self._known()
        is_busy = job_state in ("running", "cancelling")
        ui.pauseFrame.visible = is_busy or bool(known)
        ui.pauseButton.visible = is_busy
        ui.pauseButton.enabled = job_state == "running"
        for widget in (ui.resumeButton, ui.keepButton):
            widget.visible = bool(known) and not is_busy
        ui.resumeButton.enabled = not problem
        ui.resumeButton.toolTip = problem or _("Go on from where it was paused, with its settings and the same images")
        text = _("<b>{name}</b> is paused at step {step}.") if known and not is_busy else ""
        ui.pauseLabel.text = text.format(name=known.get("name"), step=known.get("step"))

    def _known(self) -> dict[str, Any]:
        node = self._parameters.node
        return dict(json.loads(node.pretrainPaused)) if node is not None and node.pretrainPaused else {}
