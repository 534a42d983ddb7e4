"""`whatmatters mass tune` from a terminal: what it says, what it writes, what it refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from MaskWhatMattersLib.cli import main
from tiny_tuning import TINY, tuning_model, write_cases


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """images and labels of three subjects, a model, and settings.toml beside."""
    folder = write_cases(tmp_path_factory.mktemp("data"), 3)
    tuning_model(folder)
    lines = [f"{name} = {value}" for name, value in (TINY | {"steps": 2}).items()]
    (folder / "settings.toml").write_text("\n".join(lines))
    return folder


@pytest.fixture
def typed(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., SimpleNamespace]:
    """Run the command in this process."""

    def run(*more: object) -> SimpleNamespace:
        cases = ["--case", data / "images", data / "labels", "--output", tmp_path / "organs"]
        given = ["--model", data / "mass-test.safetensors", "--config", data / "settings.toml", "--device", "cpu"]
        code = main(["mass", "tune", *map(str, (*cases, *given, *more))])
        said = capsys.readouterr()
        return SimpleNamespace(code=code, out=said.out, err=said.err)

    return run


def test_it_says_what_came_out_beside_the_examples_alone_and_how_to_use_it(typed, tmp_path):
    run = typed("--baseline", "--label", "1=liver", "--labels", "1,2")
    file = tmp_path / "organs" / "organs.task.safetensors"
    lines = run.out.splitlines()
    assert run.code == 0, run.err
    assert f"{file}: 2 steps. Not for clinical use." in lines
    header = lines.index("label    examples alone  tuned  plain U-Net")
    assert [line.split()[0] for line in lines[header + 1 : header + 3]] == ["liver", "label"]
    assert lines[-1].startswith(f"Use it: whatmatters mass segment SCAN --task {file} --model ")
    assert any(line.startswith("step 2: ") and "baseline_dice" in line for line in lines)
    assert file.is_file()


def test_the_report_is_json_alone_on_stdout(typed, tmp_path):
    report = json.loads(typed("--json", "--mode", "head").out)
    assert report["task"] == str(tmp_path / "organs" / "organs.task.safetensors")
    assert report["model"] == str(tmp_path / "organs" / "model.safetensors")
    assert (report["mode"], report["steps"], len(report["held_out"])) == ("head", 2, 1)
    assert [label["dice_baseline"] for label in report["labels"]] == [None] * 5
    assert "in_context_dice" in report["metrics"]


def test_what_was_tuned_is_applied(typed, data, tmp_path, capsys):
    assert typed("--mode", "full", "-q").code == 0
    task = tmp_path / "organs" / "organs.task.safetensors"
    scan = data / "images" / "subject0.nii.gz"
    words = [
        "mass",
        "segment",
        "--task",
        task,
        scan,
        "--output",
        tmp_path / "results",
        "--device",
        "cpu",
        "--no-quality",
    ]
    assert main([*map(str, words)]) == 0, capsys.readouterr().err
    assert (tmp_path / "results" / "subject0.nii.gz").is_file()


def test_what_was_forgotten_is_all_named(capsys):
    assert main(["mass", "tune"]) == 2
    assert "--case is missing; --output is missing" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--case", "nowhere.nii.gz", "nothing.nii.gz"], "nowhere.nii.gz does not exist"),
        (["--label", "liver"], "Give a value of the label map and its name: 1=liver"),
        (["--labels", "9"], "No reference marks 9"),
        (["--model", "nowhere.safetensors"], "nowhere.safetensors"),
        (["--minutes", "0"], "minutes"),
    ],
)
def test_what_cannot_be_used_is_said_before_any_work(typed, tmp_path, more, said):
    run = typed(*more)
    assert run.code == 2
    assert said in run.err
    assert not (tmp_path / "organs" / "checkpoint.ckpt").exists()


def test_the_folder_of_the_scans_is_no_place_for_results(typed, data):
    run = typed("--output", data / "images")
    assert run.code == 2
    assert "is the input folder" in run.err


def test_the_schema_knows_every_setting(capsys):
    assert main(["mass", "tune", "--print-schema"]) == 0
    assert {"mode", "patience", "view"} <= set(json.loads(capsys.readouterr().out)["properties"])


def test_help_comes_without_torch():
    code = "import sys; from MaskWhatMattersLib.cli import main; main(['mass', 'tune', '--help'])"
    watched = f"try:\n    exec({code!r})\nexcept SystemExit:\n    print('torch' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", watched], capture_output=True, text=True, check=True).stdout
    assert said.splitlines()[-1] == "False"
