"""`whatmatters pretrain` from a terminal: what it says, what it writes, how it goes on, what it refuses."""

from __future__ import annotations

import argparse
import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from MaskWhatMattersLib.cli import main, pretrain
from MaskWhatMattersLib.errors import InputError
from static_checks import REPOSITORY

SLURM = REPOSITORY / "examples" / "slurm" / "pretrain.sbatch"
TINY = """
method = "mae"
size = [16, 16]
batch_size = 2
steps = 3
log_every = 1
picture_every = 1
[encoder]
kind = "vit"
spatial_dims = 2
image_size = [16, 16]
patch_size = [4, 4]
width = 8
depth = 1
heads = 2
[decoder]
width = 8
heads = 2
[preprocessing]
spatial_dims = 2
longest_side = 16
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """images/0.png to 3.png, labels/0.png to 3.png, and settings.toml beside the folder."""
    folder = tmp_path / "data"
    generator = np.random.default_rng(0)
    drawn = np.zeros((16, 16))
    drawn[:8, :8] = 1
    for place in range(4):
        for name, array in (("images", generator.integers(0, 255, (16, 16))), ("labels", drawn)):
            (folder / name).mkdir(parents=True, exist_ok=True)
            Image.fromarray(array.astype(np.uint8)).save(folder / name / f"{place}.png")
    (tmp_path / "settings.toml").write_text(TINY)
    return folder


def words(data: Path, *more: object) -> list[str]:
    settings = ["--config", data.parent / "settings.toml", "--device", "cpu", "--output", data.parent / "run"]
    return ["pretrain", "--data", *map(str, (data, *settings, *more))]


def spec(*typed: str) -> Any:
    parser = argparse.ArgumentParser(argument_default=argparse.SUPPRESS)
    pretrain.add_parser(parser.add_subparsers())
    given = vars(parser.parse_args(["pretrain", *typed]))
    for name in ("run", "json", "quiet", "verbose"):
        given.pop(name)
    return pretrain.read_spec(given)


def test_it_leaves_a_model_and_says_how_to_use_it(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words(data)) == 0
    said = capsys.readouterr().out
    assert "whatmatters finetune" in said
    assert "Not for clinical use" in said
    assert "picture step=" not in said
    assert (data.parent / "run" / "model.json").is_file()


def test_the_report_is_for_machines(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words(data, "--region", "labels", "--inside", "0.9", "--json", "-q")) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["steps"] == 3
    assert report["metrics"]["hidden_inside"] > report["metrics"]["hidden_outside"]
    assert report["notes"] == []


def test_the_same_command_goes_on(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words(data)) == 0
    assert main(words(data)) == 0
    assert (data.parent / "run" / "log.csv").read_text().count("\n") == 4
    assert main(words(data, "--seed", "5")) == 2
    assert "other settings (seed)" in capsys.readouterr().err
    assert main(words(data, "--seed", "5", "--fresh")) == 0
    assert (data.parent / "run-2" / "model.safetensors").is_file()


def test_prompts_and_ratios_reach_the_settings() -> None:
    typed = "--data d --output o --prompt lung --prompt heart --inside .7 --outside .3 --equal-budget --ratio .4"
    config = spec(*typed.split()).config
    assert config["region"] == {"source": "prompts", "prompts": ["lung", "heart"]}
    assert config["masking"] == {
        "kind": "relevance",
        "inside": 0.7,
        "outside": 0.3,
        "equal_budget": True,
        "ratio": 0.4,
    }


def test_without_settings_the_fast_preset_is_taken(data: Path) -> None:
    assert spec("--data", "d", "--output", "o").preset == "fast"
    assert spec("--data", "d", "--output", "o", "--config", str(data.parent / "settings.toml")).preset is None


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("--output o", "--data is missing"),
        ("--data d", "--output is missing"),
        ("--data d --output o --ratio 1.5", "masking.ratio"),
        ("--data d --output o --masking relevance", "needs a region"),
        ("--data d --output o --config missing.toml", "missing.toml"),
        ("--data d --output o --prompt x --inside 0 --outside 0", "nothing would be hidden"),
    ],
)
def test_what_cannot_work_is_refused_before_any_work(typed: str, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        spec(*typed.split())


def test_a_folder_without_images_is_refused(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(data)
    data.mkdir()
    (data / "notes.txt").write_text("no image")
    assert main(words(data)) == 2
    assert "no image" in capsys.readouterr().err.lower()


def test_the_schema_lists_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pretrain", "--print-schema"]) == 0
    assert {"masking", "region", "encoder", "epochs"} <= json.loads(capsys.readouterr().out)["properties"].keys()


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_the_slurm_example_has_right_syntax_and_options_that_the_command_knows() -> None:
    assert subprocess.run(["bash", "-n", SLURM]).returncode == 0
    text = SLURM.read_text()
    assert "have not run this file on a cluster" in text
    found = spec(*shlex.split(text.replace("\\\n", " ").split("cli pretrain ", 1)[1]))
    assert (found.preset, found.method, found.steps) == ("best", "mae", 25_000)
