"""Time for background threads while Slicer's main thread idles.

PythonQt may keep Python's global lock while Qt waits for events, and then no Python thread runs. So whoever waits for a
thread from a timer gives the lock away for a moment at each tick.
"""

from __future__ import annotations

import time

TICK_MS = 20
"""Interval of a timer that waits for a thread."""

_PAUSE_S = 0.002


def let_threads_run() -> None:
    """Give Python's global lock away for a moment; short enough that nobody notices."""
    time.sleep(_PAUSE_S)
