"""A list of segments with a tick each, of which the parameter node keeps those that are left out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from MaskWhatMattersLib.bridge.case_table import TickList
from MaskWhatMattersLib.bridge.mass_examples import same_name
from MaskWhatMattersLib.bridge.panel_parameters import PanelParameters

_ENTRY_HEIGHT = 18
_SHOWN = (2, 6)  # space for so many entries at least and at most; the list scrolls beyond


class SegmentTicks:
    """Connects a list and its label with a parameter; every name is ticked until the user takes the tick away.

    Args:
        widget: The QListWidget.
        label: Is hidden with the list while there is no name.
        parameters: Its node keeps the names.
        name: Of the parameter.
    """

    def __init__(self, widget: Any, label: Any, parameters: PanelParameters, name: str) -> None:
        self._widget, self._label, self._parameters, self._name = widget, label, parameters, name
        self._list = TickList(widget, self._on_tick, lambda: None)

    def wanted(self, names: Sequence[str]) -> list[str]:
        """Those of the names that are ticked."""
        left_out = self._left_out()
        return [name for name in names if not any(same_name(name, other) for other in left_out)]

    def show(self, names: Sequence[str]) -> None:
        """List the names."""
        wanted = self.wanted(names)
        self._list.fill([(name, name, name in wanted) for name in names])
        self._label.visible = self._widget.visible = bool(names)
        fewest, most = _SHOWN
        self._widget.setFixedHeight(_ENTRY_HEIGHT * min(max(len(names), fewest), most) + 6)

    def _left_out(self) -> list[str]:
        node = self._parameters.node
        return list(json.loads(getattr(node, self._name) or "[]")) if node is not None else []

    def _on_tick(self, name: str, is_ticked: bool) -> None:
        others = [one for one in self._left_out() if not same_name(one, name)]
        self._parameters.store(self._name, json.dumps(others if is_ticked else [*others, name]))
