"""One sentence of advice for each way in which a job or its worker can fail."""

from __future__ import annotations

import errno
import signal

_MEMORY = (
    "There was not enough memory: close other programs, crop the image to the region of interest, or use a computer "
    "with more memory."
)
_GPU_MEMORY = (
    "The graphics card ran out of memory: close other programs that use it, crop the image, or choose the device CPU."
)
_REPORT = "Open the details; if they do not help, report them together with what you did."


def hint_for(error: BaseException) -> str:
    """What to do about an exception that a job raised."""
    text = str(error).lower()
    if "out of memory" in text and ("cuda" in text or "gpu" in text or "mps" in text):
        return _GPU_MEMORY
    if isinstance(error, MemoryError) or "out of memory" in text or "can't allocate memory" in text:
        return _MEMORY
    if isinstance(error, ModuleNotFoundError) and error.name:
        return f'Install the Python package that provides "{error.name}" where the job runs; Check setup lists all.'
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "The disk is full: free some space, or choose another folder."
    if isinstance(error, PermissionError):
        return "Choose a folder that you may write to, or change its permissions."
    if isinstance(error, FileNotFoundError):
        return "Check that the file still exists, and choose it again."
    return _REPORT


def describe_exit(code: int | None) -> tuple[str, str]:
    """What a worker's exit code means, in words, and what to do about it."""
    if code is None:
        return "It was lost", _REPORT
    if code < 0:
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        if name == "SIGKILL":
            return "The operating system stopped it (SIGKILL), usually for lack of memory", _MEMORY
        return f"It crashed ({name})", _REPORT
    if code in (137, 0xC0000017):  # 128 + SIGKILL, as a launcher reports it; STATUS_NO_MEMORY of Windows
        return "The operating system stopped it, usually for lack of memory", _MEMORY
    return f"It ended by itself with exit code {code}", _REPORT
