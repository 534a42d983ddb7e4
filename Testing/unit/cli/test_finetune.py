"""`whatmatters finetune` from a terminal: what it says, what it writes, what it refuses, how it goes on."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from class_pictures import TINY_TOML, write_class_folder
from MaskWhatMattersLib.cli import main


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two classes, and tiny.toml beside."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "tiny.toml").write_text(TINY_TOML)
    write_class_folder(folder / "images")
    return folder


@pytest.fixture
def typed(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., SimpleNamespace]:
    """Run the command in this process; later words win over earlier ones."""

    def run(*more: object) -> SimpleNamespace:
        words = ["--task", "classification", "--data", data / "images", "--model", "none", "--output", tmp_path / "run"]
        words += ["--config", data / "tiny.toml", "--device", "cpu", *more]
        code = main(["finetune", *map(str, words)])
        said = capsys.readouterr()
        return SimpleNamespace(code=code, out=said.out, err=said.err)

    return run


def test_it_says_what_it_needs_what_it_does_and_what_came_out(typed, tmp_path):
    run = typed()
    assert run.code == 0, run.err
    lines = run.out.splitlines()
    assert "Splits: train 8 images of 8 patients, val 2 images of 2 patients." in lines
    assert any("6 steps of" in line and "GB of" in line for line in lines[: lines.index("Finetuning")])
    assert [line.split(":")[0] for line in lines if "val_auroc" in line] == ["step 3", "step 6"]
    assert lines.count("Finetuning") == 1
    assert "model.safetensors: 6 steps. Not for clinical use." in run.out
    assert "validation: accuracy" in run.out
    assert (tmp_path / "run" / "model.json").is_file()


def test_the_report_is_json_alone_on_stdout(typed, tmp_path):
    run = typed("--json", "--steps", "1")
    report = json.loads(run.out)
    assert report["model"] == str(tmp_path / "run" / "model.safetensors")
    assert report["steps"] == 1
    assert [note.split(";")[0] for note in report["notes"]] == ["10 of 10 image names name no patient"]
    assert {"loss", "auroc"} <= set(report["metrics"])


def test_the_start_model_is_told_tensor_by_tensor(typed, tmp_path):
    assert typed("--steps", "1").code == 0
    run = typed("--steps", "1", "--model", tmp_path / "run" / "model.safetensors", "--output", tmp_path / "second")
    assert run.code == 0, run.err
    assert "tensors matched, 0 missing, 0 unexpected. 2 tensors of the head start at random." in run.out


def test_the_same_command_goes_on_and_fresh_starts_anew(typed, tmp_path):
    assert typed("--steps", "1").code == 0
    again = typed("--steps", "1")
    assert (again.code, "step 1:" in again.out) == (0, False)
    assert typed("--steps", "1", "--fresh").code == 0
    assert (tmp_path / "run-2" / "model.safetensors").is_file()


def test_what_was_forgotten_is_all_named(capsys):
    assert main(["finetune", "--data", "somewhere"]) == 2
    said = capsys.readouterr().err
    assert all(f"--{name} is missing" in said for name in ("task", "model", "output"))
    assert "--model none starts from scratch" in said


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--model", "nowhere.safetensors"], "does not exist"),
        (["--model", "left-atrium"], "an encoder is wanted, found"),
        (["--validation", "1"], "validation"),
        (["--label-fraction", "0"], "label_fraction"),
        (["--steps", "0"], "steps"),
        (["--dims", "3"], "is for 2D, and 3D is asked for"),
        (["--config", "none.toml"], "cannot be read"),
    ],
)
def test_what_cannot_be_used_is_a_usage_error(typed, more, said):
    run = typed(*more)
    assert run.code == 2
    assert said in run.err


def test_an_output_folder_among_the_images_is_refused(typed, data):
    run = typed("--output", data / "images" / "run")
    assert (run.code, (data / "images" / "run").exists()) == (2, False)


def test_the_settings_are_described_by_a_schema(capsys):
    assert main(["finetune", "--print-schema"]) == 0
    assert "label_fraction" in json.loads(capsys.readouterr().out)["properties"]


def test_help_loads_no_torch():
    code = (
        "import sys\nfrom MaskWhatMattersLib.cli import main\n"
        "try: main(['finetune', '--help'])\nexcept SystemExit: pass\n"
        "print('torch' in sys.modules or 'pydantic' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.endswith("False\n")
    assert "examples:" in said
