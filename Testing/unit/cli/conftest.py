"""A folder of scans, and the command run in this process with a localizer of our own beside the real ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

import sample_localizer
from MaskWhatMattersLib.cli import main
from MaskWhatMattersLib.relevance import registry
from MaskWhatMattersLib.volumes import write_volume
from unit.cli.helpers import sample_volume


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """scans/first.nii.gz, scans/deeper/second.nrrd and a file that is no image."""
    folder = tmp_path / "scans"
    (folder / "deeper").mkdir(parents=True)
    write_volume(sample_volume(), folder / "first.nii.gz")
    write_volume(sample_volume(), folder / "deeper" / "second.nrrd")
    (folder / "notes.txt").write_text("no image")
    return folder


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """A folder that does not exist yet."""
    return tmp_path / "results"


@pytest.fixture
def whatmatters(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., SimpleNamespace]:
    """Run `whatmatters relevance` with the sample localizer unless another is named."""
    known = {**registry.available_localizers(), "sample": sample_localizer.INFO}
    monkeypatch.setattr(registry, "available_localizers", lambda: known)

    def run(*arguments: str | Path) -> SimpleNamespace:
        typed = ["relevance", *map(str, arguments)]
        if "--localizer" not in typed:
            typed += ["--localizer", "sample"]
        code = main(typed)
        printed = capsys.readouterr()
        return SimpleNamespace(code=code, out=printed.out, err=printed.err)

    return run
