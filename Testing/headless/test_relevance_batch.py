"""The batch script with a plain interpreter; inside Slicer it differs in how it leaves."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from MaskWhatMattersLib.volumes import Volume, read_volume, write_volume

SCRIPT = Path(__file__).with_name("relevance_batch.py")


def batch(*arguments) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *(str(argument) for argument in arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def test_batch_writes_what_the_command_line_writes(tmp_path):
    region = np.zeros((1, 6, 7, 8), np.uint8)
    region[0, 2:4, 2:5, 3:6] = 1
    scan = Volume(np.ones((1, 6, 7, 8), np.float32), np.diag([-1.0, -1.0, 2.0, 1.0]))
    write_volume(scan, tmp_path / "scan.nii.gz")
    write_volume(scan.with_array(region), tmp_path / "region.nii.gz")
    result = batch(
        tmp_path / "scan.nii.gz",
        "--prompt",
        "Box",
        "--localizer",
        "roi",
        "--roi",
        tmp_path / "region.nii.gz",
        "--output",
        tmp_path / "out",
    )
    assert result.returncode == 0, result.stderr
    np.testing.assert_array_equal(read_volume(tmp_path / "out" / "scan_box_mask.nii.gz").array, region)
    (line,) = json.loads((tmp_path / "out" / "report.json").read_text())
    assert (line["verdict"], line["prompt"]) == ("found", "Box")


def test_batch_keeps_the_exit_codes_of_the_command_line(tmp_path):
    assert batch("--prompt", "left lung", "--output", tmp_path / "out").returncode == 2
    (tmp_path / "broken.nii.gz").write_text("not an image")
    assert batch(tmp_path / "broken.nii.gz", "--prompt", "left lung", "--output", tmp_path / "out").returncode == 1
