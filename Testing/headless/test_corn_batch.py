"""The batch script of the left atrium with a plain interpreter; inside Slicer it differs in how it leaves."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

from corn_phantoms import atrium_scan, save_tiny_atrium_model
from MaskWhatMattersLib.volumes import read_volume, write_volume

SCRIPT = Path(__file__).with_name("corn_batch.py")


def batch(*arguments) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *(str(argument) for argument in arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def test_batch_writes_what_the_command_line_writes(tmp_path):
    scan, _ = atrium_scan(1)
    (tmp_path / "scans").mkdir()
    write_volume(scan, tmp_path / "scans" / "heart.nii.gz")
    model = save_tiny_atrium_model(tmp_path / "models")
    result = batch(
        tmp_path / "scans",
        "--output",
        tmp_path / "out",
        "--model",
        model,
        "--field-of-view",
        "crop",
    )
    assert result.returncode == 0, result.stderr
    assert read_volume(tmp_path / "out" / "heart.nii.gz").array.shape == scan.array.shape
    with open(tmp_path / "out" / "report.csv", encoding="utf-8") as file:
        (line,) = csv.DictReader(file)
    assert float(line["volume_ml"]) > 0


def test_batch_keeps_the_exit_codes_of_the_command_line(tmp_path):
    assert batch("--output", tmp_path / "out").returncode == 2
