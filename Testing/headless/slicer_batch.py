"""A command of `whatmatters` inside Slicer: where the library is, and how Slicer is left with an exit code."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

UNEXPECTED = 70  # EX_SOFTWARE of sysexits.h: not one of the command's own codes


def find_library() -> None:
    """Put the library on the path where the extension is not installed: this file lies in its source tree."""
    try:
        import MaskWhatMattersLib  # noqa: F401
    except ModuleNotFoundError:
        sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "MaskWhatMatters"))


def run(arguments: Sequence[str]) -> int:
    """The exit code of a command with its arguments; never raises, because Slicer would go on with its event loop."""
    try:
        find_library()
        from MaskWhatMattersLib.cli import main

        return main(list(arguments))
    except SystemExit as error:  # argparse: --help, or arguments that cannot be understood
        return error.code if isinstance(error.code, int) else UNEXPECTED
    except BaseException:
        traceback.print_exc()
        return UNEXPECTED


def leave(code: int) -> None:
    """End Slicer with an exit code, or this interpreter outside Slicer."""
    try:
        import slicer

        leave_slicer = slicer.util.exit  # slicer.app.exit would lose the code
        slicer.app.quit  # noqa: B018  (only inside the application)
    except (ImportError, AttributeError):
        sys.exit(code)
    sys.stdout.flush()
    sys.stderr.flush()
    leave_slicer(code)
