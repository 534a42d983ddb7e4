"""`whatmatters mass pretrain` from a terminal."""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

import pytest

from MaskWhatMattersLib.cli import main, mass_pretrain
from MaskWhatMattersLib.errors import InputError
from tiny_mass_pretraining import write_scans

TINY = """
crop = 16
labels = 2
batch_size = 1
steps = 2
log_every = 1
picture_every = 1
[network]
width = 2
window = 16
queries = 2
blocks = 1
positions = "factorized"
[preprocessing]
spacing_mm = 4.0
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """scans/0.nii.gz and settings.toml."""
    folder = tmp_path_factory.mktemp("place")
    write_scans(folder / "scans", 1)
    (folder / "settings.toml").write_text(TINY)
    return folder


def words(place: Path, *more: object) -> list[str]:
    settings = ["--config", place / "settings.toml", "--cache", place / "cache", "--device", "cpu"]
    return ["mass", "pretrain", "--images", *map(str, (place / "scans", *settings, *more))]


def spec(*typed: str) -> Any:
    parser = argparse.ArgumentParser(argument_default=argparse.SUPPRESS)
    mass_pretrain.add_parser(parser.add_subparsers())
    given = vars(parser.parse_args(["pretrain", *typed]))
    for name in ("run", "json", "quiet", "verbose"):
        given.pop(name)
    return mass_pretrain.read_spec(given)


def test_it_leaves_a_model_and_says_how_to_use_it(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words(place, "--only-prepare", "--output", tmp_path / "run")) == 0
    assert "1 were prepared now" in capsys.readouterr().out
    assert main(words(place, "--output", tmp_path / "run")) == 0
    said = capsys.readouterr().out
    assert "2 steps, loss" in said
    assert "whatmatters mass segment" in said
    assert "Not for clinical use" in said
    assert "picture step=" not in said
    assert (tmp_path / "run" / "model.json").is_file()


def test_the_report_is_for_machines_and_the_same_command_goes_on(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words(place, "--output", tmp_path / "run", "--json", "-q")) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["steps"] == 2
    assert set(report["metrics"]) >= {"loss", "dice"}
    assert main(words(place, "--output", tmp_path / "run", "--seed", "5")) == 2
    assert "other settings (seed)" in capsys.readouterr().err


def test_what_was_typed_stands_above_the_preset() -> None:
    found = spec("--images", "d", "--output", "o", "--batch-size", "7", "--labels", "3")
    assert found.preset == "cpu"
    assert found.config == {"batch_size": 7, "labels": 3}


def test_all_settings_can_be_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["mass", "pretrain", "--print-schema"]) == 0
    assert "least_voxels" in json.loads(capsys.readouterr().out)["properties"]


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("--output o", "--images is missing"),
        ("--images d", "--output is missing"),
        ("--images d --output o --crop 50", "multiple of 16"),
        ("--images d --output o --config missing.toml", "missing.toml"),
    ],
)
def test_what_cannot_work_is_refused_before_any_work(typed: str, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        spec(*typed.split())
