"""Small jobs for the tests: each does one thing that real jobs do, well or badly."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, ClassVar

from MaskWhatMattersLib.errors import InputError, UnknownConceptError
from MaskWhatMattersLib.jobs import JobContext, JobSpec


class Add(JobSpec):
    function: ClassVar[str] = "sample_jobs:add"
    amount: float = 1.0


def add(spec: Add, context: JobContext, array: Any = 0.0) -> Any:
    context.stage("Adding", total=1)
    context.step()
    return array + spec.amount


class Count(JobSpec):
    function: ClassVar[str] = "sample_jobs:count"
    steps: int = 3
    pause_s: float = 0.0
    log_lines: int = 0


def count(spec: Count, context: JobContext) -> int:
    context.stage("Counting", total=spec.steps)
    for line in range(spec.log_lines):
        context.log(f"line {line}")
    for _ in range(spec.steps):
        time.sleep(spec.pause_s)
        context.step()
    return os.getpid()


class CountIntoFile(JobSpec):
    function: ClassVar[str] = "sample_jobs:count_into_file"
    path: Path


def count_into_file(spec: CountIntoFile, context: JobContext) -> None:
    """Append a byte per step, so that a test sees how many steps were done."""
    context.stage("Counting")
    while True:
        with spec.path.open("ab") as file:
            file.write(b".")
        time.sleep(0.2)
        context.step()


class Deaf(JobSpec):
    function: ClassVar[str] = "sample_jobs:sleep_in_native_code"
    seconds: float = 60.0


def sleep_in_native_code(spec: Deaf, context: JobContext) -> None:
    """Sleep in C while holding the interpreter, with a child process beside: nothing in here can be asked to stop."""
    subprocess.Popen([sys.executable, "-c", f"import time; time.sleep({spec.seconds})"])
    context.stage("Sleeping")
    time.sleep(0.2)  # lets the event out
    ctypes.PyDLL(None).usleep(int(spec.seconds * 1e6))


class Fail(JobSpec):
    function: ClassVar[str] = "sample_jobs:fail"
    how: str


def fail(spec: Fail, context: JobContext) -> Any:
    context.stage("Failing")
    if spec.how == "input":
        raise InputError("The image has no voxels.")
    if spec.how == "concept":
        raise UnknownConceptError('"lunge" is not known.', suggestions=("left lung", "right lung"))
    if spec.how == "memory":
        return bytearray(1 << 62)
    if spec.how == "system exit":
        sys.exit(3)
    if spec.how == "unpicklable":
        return threading.Lock()
    if spec.how == "crash":
        os.write(2, b"caf\xe9 \xff\xfe last words\n")
        os._exit(3)
    raise ZeroDivisionError("nothing to divide by")


class LeaveFile(JobSpec):
    function: ClassVar[str] = "sample_jobs:leave_file"


def leave_file(spec: LeaveFile, context: JobContext) -> str:
    with tempfile.NamedTemporaryFile(delete=False) as file:
        return file.name


class Missing(JobSpec):
    function: ClassVar[str] = "sample_jobs:not_there"
