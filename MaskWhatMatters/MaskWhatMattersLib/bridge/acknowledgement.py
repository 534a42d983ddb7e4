"""Weights that are for research only: the user agrees once per model, on this computer."""

from __future__ import annotations

import qt

_KEY = "MaskWhatMatters/Acknowledged/"


def is_acknowledged(name: str) -> bool:
    """Whether the user agreed to use a model or localizer for research only."""
    return bool(qt.QSettings().value(_KEY + name) == "yes")


def acknowledge(name: str, agreed: bool) -> None:
    """Remember that the user agreed, or does not any more."""
    qt.QSettings().setValue(_KEY + name, "yes" if agreed else "no")
