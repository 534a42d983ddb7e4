"""Fixtures that every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """Folder of real, labelled scans; the test is skipped where it is not at hand."""
    folder = os.environ.get("WHATMATTERS_DATA", "")
    if not folder or not (Path(folder) / "MANIFEST.csv").is_file():
        pytest.skip("needs the real scans: set WHATMATTERS_DATA to their folder")
    return Path(folder)
