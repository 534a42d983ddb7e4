"""The batch of `whatmatters mass segment` inside Slicer, with the Python and the packages that Slicer has:

    Slicer --no-main-window --python-script Testing/headless/mass_batch.py INPUT... --output DIR

Arguments, results and exit codes are those of the command line; `--help` lists them.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent))
from slicer_batch import leave, run

if __name__ == "__main__":
    leave(run(["mass", "segment", *sys.argv[1:]]))
