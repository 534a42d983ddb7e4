"""The result of a segmentation, where Slicer reads it."""

from __future__ import annotations

import subprocess
import sys


def test_result_is_read_in_a_process_without_torch():
    code = (
        "import sys; sys.modules['torch'] = None;"
        "from MaskWhatMattersLib.corn.result import AtriumSegmentation; print(AtriumSegmentation.__module__)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert run.stdout.strip() == "MaskWhatMattersLib.corn.result", run.stderr
