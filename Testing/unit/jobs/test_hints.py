"""Advice fits what went wrong."""

from __future__ import annotations

import errno
import re

import pytest

from MaskWhatMattersLib.jobs.hints import describe_exit, hint_for


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (MemoryError(), "not enough memory"),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), "graphics card"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "not enough memory"),
        (ModuleNotFoundError("No module named 'monai'", name="monai"), 'Install .*"monai"'),
        (OSError(errno.ENOSPC, "No space left on device"), "disk is full"),
        (PermissionError(errno.EACCES, "Permission denied"), "may write"),
        (FileNotFoundError(errno.ENOENT, "No such file"), "file still exists"),
        (ZeroDivisionError(), "details"),
    ],
)
def test_each_kind_of_error_has_its_advice(error: BaseException, advice: str) -> None:
    assert re.search(advice, hint_for(error))


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (-9, "lack of memory"),
        (137, "lack of memory"),
        (-11, "crashed (SIGSEGV)"),
        (-250, "signal 250"),
        (3, "exit code 3"),
        (None, "lost"),
    ],
)
def test_an_exit_code_is_told_in_words(code: int | None, words: str) -> None:
    assert words in describe_exit(code)[0]
