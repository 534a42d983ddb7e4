"""`whatmatters corn train` from a terminal: what it says, what it writes, how it stops and goes on; and its configs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from corn_phantoms import write_atrium_folder
from MaskWhatMattersLib.cli import corn_train, main
from MaskWhatMattersLib.config_files import read_settings
from MaskWhatMattersLib.corn.config import CornTrainingConfig
from MaskWhatMattersLib.corn.loss_config import CornLossConfig
from static_checks import REPOSITORY

OTHERS = {"cpu": "ours", "left-atrium": "supervised", "left-atrium-whole": "supervised"}
CONFIGS = sorted((REPOSITORY / "configs" / "corn").glob("*.toml"))
TINY = """
mode = "supervised"
patch_size = [8, 8, 8]
steps = 3
log_every = 1
validate_every = 3
save_every = 1
[network]
width = 2
depth = 2
[preprocessing]
spacing_mm = 2.0
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """images/scan0 to scan3, their label maps, and settings.toml beside."""
    folder = write_atrium_folder(tmp_path_factory.mktemp("data"), 4, (8, 16, 16))
    (folder / "settings.toml").write_text(TINY)
    return folder


def words(data: Path, output: Path, *more: object) -> list[str]:
    """The command; later words win over earlier ones."""
    folders = ["--images", data / "images", "--labels", data / "labels", "--output", output]
    settings = ["--labelled", 2, "--config", data / "settings.toml", "--device", "cpu"]
    return ["corn", "train", *map(str, (*folders, *settings, *more))]


@pytest.fixture
def typed(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., SimpleNamespace]:
    """Run the command in this process."""

    def run(*more: object, output: Path = tmp_path / "run") -> SimpleNamespace:
        code = main(words(data, output, *more))
        said = capsys.readouterr()
        return SimpleNamespace(code=code, out=said.out, err=said.err)

    return run


def test_it_says_what_it_needs_before_it_starts_and_what_came_out(typed, tmp_path):
    run = typed("--validation", "1")
    lines = run.out.splitlines()
    assert run.code == 0, run.err
    assert any("3 steps of" in line and "GB of" in line for line in lines[: lines.index("Training")])
    assert any(line.startswith("step 3: ") and "dice" in line for line in lines)
    assert "model.safetensors: 3 steps, Dice 0." in run.out
    assert "Not for clinical use" in run.out
    assert (tmp_path / "run" / "model.json").is_file()


def test_the_report_is_json_alone_on_stdout(typed, tmp_path):
    run = typed("--json", "--steps", "1")
    report = json.loads(run.out)
    assert report["model"] == str(tmp_path / "run" / "model.safetensors")
    assert (report["steps"], report["validation_dice"], report["validation_cases"]) == (1, None, 0)
    assert "Training" in run.err


def test_quiet_says_nothing(typed):
    run = typed("-q", "--steps", "1")
    assert (run.code, run.out, run.err) == (0, "", "")


def test_the_command_line_wins_over_the_file(typed, tmp_path):
    assert typed("--steps", "1", "--minutes", "60").code == 0
    assert "1 steps" in (tmp_path / "run" / "model.json").read_text()


def test_a_typo_in_the_settings_file_names_the_nearest_field(typed, tmp_path):
    (tmp_path / "typo.toml").write_text(TINY + "[losses]\nsharpenning = 0.1\n")
    run = typed("--config", tmp_path / "typo.toml")
    assert run.code == 2
    assert 'the table [losses] has no field "sharpenning" (did you mean "sharpening"?)' in run.err


def test_what_was_forgotten_is_all_named(capsys):
    assert main(["corn", "train", "--images", "somewhere"]) == 2
    said = capsys.readouterr().err
    assert all(f"--{name} is missing" in said for name in ("labels", "labelled", "output"))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--labelled", "9"], "9 labelled cases are wanted; found 4"),
        (["--labelled", "0"], "no labelled case"),
        (["--labelled", "scan9"], "labelled case is without image: scan9"),
        (["--validation", "3"], "both labelled and for validation"),
        (["--foreground", "5"], "scan1 marks nothing"),
        (["--mode", "ours", "--labelled", "4"], "learns from unlabelled scans too; found none"),
        (["--start-model", "nowhere.safetensors"], "does not exist"),
        (["--minutes", "0"], "minutes"),
    ],
)
def test_what_cannot_be_used_is_a_usage_error(typed, more, said):
    run = typed(*more)
    assert run.code == 2
    assert said in run.err


@pytest.mark.parametrize("part", ["images", "labels"])
def test_an_output_folder_among_the_inputs_is_refused(typed, data, part):
    run = typed(output=data / part / "run")
    assert (run.code, (data / part / "run").exists()) == (2, False)
    assert "lies inside the input folder" in run.err


def test_the_same_command_goes_on_and_other_settings_are_refused(typed, data, tmp_path):
    assert typed("--steps", "1").code == 0
    again = typed("--steps", "1")
    assert (again.code, "step 1:" in again.out) == (0, False)
    other = typed("--steps", "2")
    assert other.code == 2
    assert "other settings (steps)" in other.err


def test_ctrl_c_keeps_the_last_step_and_says_how_to_go_on(data, tmp_path):
    (tmp_path / "long.toml").write_text(TINY.replace("steps = 3", "steps = 100000"))
    command = words(data, tmp_path / "run", "--config", tmp_path / "long.toml", "-v")
    process = subprocess.Popen(
        [sys.executable, "-m", "MaskWhatMattersLib.cli", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY / "MaskWhatMatters")},
    )
    assert process.stdout is not None
    assert any(line.startswith("step 3:") for line in process.stdout)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 130
    assert "Run the same command again to go on" in err
    assert "the model so far is" in out
    assert {"checkpoint.ckpt", "model.safetensors"} <= {path.name for path in (tmp_path / "run").iterdir()}


def test_the_settings_are_described_by_a_schema(capsys):
    assert main(["corn", "train", "--print-schema"]) == 0
    assert "losses" in json.loads(capsys.readouterr().out)["properties"]


def test_help_loads_no_torch():
    code = (
        "import sys\nfrom MaskWhatMattersLib.cli import main\n"
        "try: main(['corn', 'train', '--help'])\nexcept SystemExit: pass\n"
        "print('torch' in sys.modules or 'pydantic' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.endswith("False\n")
    assert "examples:" in said


@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: file.stem)
def test_every_committed_config_is_valid(file):
    settings = read_settings(CornTrainingConfig, file)
    assert settings.mode == OTHERS.get(file.stem, file.stem)


def test_there_is_a_config_for_every_mode_for_a_computer_without_graphics_card_and_for_the_shipped_model():
    assert {file.stem for file in CONFIGS} == {*corn_train.MODES, *OTHERS}


@pytest.mark.parametrize("mode", corn_train.MODES)
def test_the_configs_spell_out_the_defaults_of_their_mode(mode):
    file = REPOSITORY / "configs" / "corn" / f"{mode}.toml"
    settings = read_settings(CornTrainingConfig, file)
    written = tomllib.loads(file.read_text()).get("losses", {})
    usual = CornLossConfig.for_mode(mode).model_dump()
    assert {name: usual[name] for name in written} == written
    unlabelled = 0 if mode == "supervised" else 2
    assert settings.model_copy(update={"losses": CornLossConfig()}) == CornTrainingConfig(
        mode=mode, unlabelled_per_batch=unlabelled
    )
