"""The batch script of segmenting by example with a plain interpreter; inside Slicer it differs in how it leaves."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

from MaskWhatMattersLib.volumes import read_volume, write_volume
from mass_phantoms import organ_subject
from tiny_mass import tiny_mass

SCRIPT = Path(__file__).with_name("mass_batch.py")
SHAPE, SPACING_MM = (16, 16, 16), (8.0, 8.0, 8.0)


def batch(*arguments) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *(str(argument) for argument in arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def test_batch_writes_what_the_command_line_writes(tmp_path):
    scan, _ = organ_subject(0, SHAPE, SPACING_MM)
    for folder, volume in zip(("scans", "labels"), organ_subject(1, SHAPE, SPACING_MM), strict=True):
        (tmp_path / folder).mkdir()
        write_volume(volume, tmp_path / folder / "example.nii.gz")
    write_volume(scan, tmp_path / "scans" / "new.nii.gz")
    model = tiny_mass(tmp_path, window=16, spacing_mm=8)
    reference = ("--reference", tmp_path / "scans" / "example.nii.gz", tmp_path / "labels" / "example.nii.gz")
    result = batch(tmp_path / "scans", *reference, "--output", tmp_path / "out", "--model", model, "--no-quality")
    assert result.returncode == 0, result.stderr
    assert read_volume(tmp_path / "out" / "new.nii.gz").array.shape == scan.array.shape
    assert not (tmp_path / "out" / "example.nii.gz").exists()
    with open(tmp_path / "out" / "report.csv", encoding="utf-8") as file:
        assert [line["label"] for line in csv.DictReader(file)] == [f"label {value}" for value in range(1, 6)]


def test_batch_keeps_the_exit_codes_of_the_command_line(tmp_path):
    assert batch("--output", tmp_path / "out").returncode == 2
