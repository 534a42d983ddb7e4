"""Earlier prompts, kept between sessions and offered in a combo box."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import qt
from slicer.i18n import tr as _

_KEY = "MaskWhatMatters/PromptHistory"
_LENGTH = 20


class PromptHistory:
    """Remembers what was asked on this computer; a choice in the combo box brings it back.

    Args:
        combo: The combo box; its first entry is a caption.
        on_choice: Called with the prompts, one per line.
    """

    def __init__(self, combo: Any, on_choice: Callable[[str], None]) -> None:
        self._combo, self._on_choice = combo, on_choice
        self._fill()
        combo.connect("activated(int)", self._on_activated)

    def add(self, prompts: str) -> None:
        """Put prompts first; what was asked before does not appear twice."""
        entries = [prompts, *(entry for entry in self.entries() if entry != prompts)][:_LENGTH]
        qt.QSettings().setValue(_KEY, json.dumps(entries))
        self._fill()

    def entries(self) -> list[str]:
        """Earlier prompts, latest first."""
        try:
            stored = json.loads(qt.QSettings().value(_KEY) or "[]")
        except (TypeError, ValueError):  # written by another version
            return []
        return [entry for entry in stored if isinstance(entry, str)]

    def _fill(self) -> None:
        self._combo.clear()
        self._combo.addItem(_("Earlier prompts"), "")
        for entry in self.entries():
            self._combo.addItem(", ".join(entry.splitlines()), entry)

    def _on_activated(self, index: int) -> None:
        if index > 0:
            self._on_choice(self._combo.itemData(index))
            self._combo.setCurrentIndex(0)
