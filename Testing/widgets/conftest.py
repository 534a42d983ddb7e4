"""The test host for the modules' widgets."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from host import explain_missing, missing_packages, start_host

FIXTURES = Path(__file__).parent / "fixtures"


@pytest.fixture
def host() -> Iterator[object]:
    """A clean host; the test fails when a slot raised an error or a question found no answer."""
    if missing := missing_packages():
        pytest.skip(explain_missing(missing))
    started = start_host(folders=[FIXTURES])
    yield started
    for name in list(started.opened):
        started.close_module(name)
    started.check_nothing_escaped()


@pytest.fixture
def screenshots(tmp_path: Path) -> Path:
    """Folder for pictures; kept where WHATMATTERS_SCREENSHOTS names one."""
    folder = Path(os.environ.get("WHATMATTERS_SCREENSHOTS") or tmp_path / "screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder
