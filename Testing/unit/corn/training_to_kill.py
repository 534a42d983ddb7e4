"""A tiny training, for test_train_resume.py: run there whole, and started from there as a program that is killed."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from corn_phantoms import atrium_scan
from MaskWhatMattersLib.corn.config import CornTrainingConfig
from MaskWhatMattersLib.corn.train import train
from MaskWhatMattersLib.datasets.training_cases import CornCases, TrainingCase
from MaskWhatMattersLib.progress import SilentProgress
from MaskWhatMattersLib.training.points import parse_point

STEPS = 12


class Killer(SilentProgress):
    """Kills this very process once a step is in the log and not yet in a checkpoint; no Python code runs after that."""

    def __init__(self, step: int) -> None:
        self.step_to_die = step

    def log(self, text: str) -> None:
        """Look for the step."""
        point = parse_point(text)
        if point is not None and point[0] == self.step_to_die:
            os.kill(os.getpid(), signal.SIGKILL)


def tiny_training(folder: Path, progress: SilentProgress | None = None) -> None:
    """Our CORN on made-up atria, with dropout and averaged weights; every loss is at work from the first step."""
    config = CornTrainingConfig(
        network={"width": 2, "depth": 2, "dropout": 0.5},
        preprocessing={"spacing_mm": 4.0},
        losses={"unlabelled_rows": 64, "anchor_rows": 16, "pool_rows": 64, "minimum_voxels": 16, "ramp_steps": 0},
        patch_size=(16, 16, 16),
        average=0.9,
        steps=STEPS,
        log_every=1,
        save_every=3,
        validate_every=4,
    )
    scans = [atrium_scan(seed, spacing_mm=4.0, shape=(16, 18, 20)) for seed in range(5)]
    made = [TrainingCase(f"case{index}", *scan) for index, scan in enumerate(scans)]
    unlabelled = tuple(TrainingCase(case.name, case.image) for case in made[2:4])
    train(config, CornCases(tuple(made[:2]), unlabelled, (made[4],)), folder, progress, device="cpu")


if __name__ == "__main__":
    tiny_training(Path(sys.argv[1]), Killer(int(sys.argv[2])))
