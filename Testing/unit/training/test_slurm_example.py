"""The SLURM example: its syntax, and that the command knows what it asks for. No cluster is at hand to run it."""

import argparse
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from MaskWhatMattersLib.cli import corn_train

SCRIPT = Path(__file__).parents[3] / "examples" / "slurm" / "corn_train.sbatch"


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_its_syntax_is_right():
    assert subprocess.run(["bash", "-n", SCRIPT]).returncode == 0


def test_it_says_that_it_has_not_run():
    assert "have not run this file on a cluster" in SCRIPT.read_text()


def test_the_command_knows_every_option_of_it():
    command = SCRIPT.read_text().replace("\\\n", " ").split("corn train ", 1)[1]
    parser = argparse.ArgumentParser()
    corn_train.add_parser(parser.add_subparsers())
    typed = parser.parse_args(["train", *shlex.split(command)])
    assert typed.steps == 3750
    assert typed.mode == "ours"


def test_it_starts_one_task_per_gpu():
    options = dict(re.findall(r"^#SBATCH --([\w-]+)=(\S+)$", SCRIPT.read_text(), flags=re.MULTILINE))
    assert options["ntasks-per-node"] == options["gpus-per-node"]
    assert not {"ntasks", "gpus-per-task"} & options.keys()
