"""What the tests of the command line share beside their fixtures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from MaskWhatMattersLib.volumes import Volume

AFFINE = np.array([[-0.8, 0.1, 0, 12], [0.1, 0.8, 0, -30], [0, 0, 2.5, 7], [0, 0, 0, 1]])


def sample_volume(shape: tuple[int, ...] = (1, 6, 12, 10)) -> Volume:
    """A bright block with a very bright core, oblique and anisotropic."""
    array = np.zeros(shape, dtype=np.float32)
    array[:, 1:5, 2:10, 2:8] = 100
    array[:, 2:4, 4:8, 4:6] = 200
    return Volume(array, AFFINE)


def read_report(output: Path) -> list[dict]:
    """The entries of report.json."""
    return json.loads((output / "report.json").read_text(encoding="utf-8"))


def files_in(folder: Path) -> set[str]:
    """Every file below a folder, relative to it, hidden ones included."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
