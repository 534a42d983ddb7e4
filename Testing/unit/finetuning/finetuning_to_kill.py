"""A tiny finetuning, for test_train.py: run there whole, and started from there as a program that is killed."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import torch

from class_pictures import TINY, class_cases
from MaskWhatMattersLib.finetuning.classification import Classifier
from MaskWhatMattersLib.finetuning.config import FinetuneConfig
from MaskWhatMattersLib.finetuning.train import train
from MaskWhatMattersLib.progress import SilentProgress
from MaskWhatMattersLib.training.points import parse_point

STEPS = 8
FIELDS: dict[str, Any] = {
    **TINY,
    "task": "classification",
    "steps": STEPS,
    "schedule": "sawtooth",
    "warmup": 0.5,
    "head": {"dropout": 0.5},
}


class Killer(SilentProgress):
    """Kills this very process once a step is in the log; no Python code runs after that."""

    def __init__(self, step: int) -> None:
        self.step_to_die = step

    def log(self, text: str) -> None:
        """Look for the step."""
        point = parse_point(text)
        if point is not None and point[0] == self.step_to_die:
            os.kill(os.getpid(), signal.SIGKILL)


def tiny_finetuning(folder: Path, progress: SilentProgress | None = None) -> None:
    """Classification with dropout, augmentation and both stages of the sawtooth, and a test at the end."""
    cases = class_cases(("train", "train", "train", "val", "val", "test"))
    train(FinetuneConfig.model_validate(FIELDS), cases, folder, progress, device="cpu")


def main() -> None:
    """Train; of several processes each leaves its weights beside the run, which must all be the same."""
    folder = Path(sys.argv[1])
    made: list[Classifier] = []
    real = Classifier.__init__

    def remembered(self: Classifier, *given: Any) -> None:
        real(self, *given)
        made.append(self)

    Classifier.__init__ = remembered  # type: ignore[method-assign]
    tiny_finetuning(folder, Killer(int(sys.argv[2])) if len(sys.argv) > 2 else None)
    torch.save(made[-1].state_dict(), folder / f"of-process-{os.environ.get('RANK', '0')}.pt")


if __name__ == "__main__":
    main()
