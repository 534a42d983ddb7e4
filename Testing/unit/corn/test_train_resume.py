"""A training that is killed hard at a random step ends with the curves and weights of one that never was."""

import os
import random
import runpy
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from MaskWhatMattersLib.training.checkpoints import CHECKPOINT

SCRIPT = Path(__file__).with_name("training_to_kill.py")
TESTING = Path(__file__).parents[2]


@pytest.mark.skipif(os.name != "posix", reason="needs a signal that kills at once")
def test_a_kill_at_a_random_step_leaves_no_trace_in_curves_and_weights(tmp_path):
    training = runpy.run_path(str(SCRIPT))
    step = random.randrange(1, training["STEPS"])
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    environment = {**os.environ, "PYTHONPATH": f"{TESTING.parent / 'MaskWhatMatters'}{os.pathsep}{TESTING}"}
    environment["OMP_NUM_THREADS"] = str(torch.get_num_threads())
    done = subprocess.run([sys.executable, SCRIPT, killed, str(step)], capture_output=True, text=True, env=environment)
    assert done.returncode == -signal.SIGKILL, done.stderr
    before = (killed / "log.csv").read_text().splitlines()
    assert before[-1].startswith(f"{step},")

    training["tiny_training"](killed)
    training["tiny_training"](whole)
    assert (killed / "log.csv").read_text() == (whole / "log.csv").read_text(), f"killed at step {step}"
    after = (killed / "log.csv").read_text().splitlines()
    # Killed before the first validation, the old rows lack its columns.
    assert all(row.startswith(old) for row, old in zip(after, before, strict=False))
    ends = [torch.load(run / CHECKPOINT, weights_only=True) for run in (killed, whole)]
    for part in ("module", "averaged"):
        for name, value in ends[0][part].items():
            assert torch.equal(value, ends[1][part][name]), f"{part} {name}, killed at step {step}"
