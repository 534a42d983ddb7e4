"""Checks of the repository itself, run by `make check` and by the unit tests."""

from __future__ import annotations

from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
