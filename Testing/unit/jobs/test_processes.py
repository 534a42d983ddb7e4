"""Processes and what they print, to the last one."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from MaskWhatMattersLib.jobs.processes import ChildProcess, ProcessIdentity, kill_descendants
from MaskWhatMattersLib.jobs.serve import end_with_parent, write_json

PARENT_OF_ONE = "import subprocess, time; subprocess.Popen(['sleep', '600']); print('ready', flush=True); {then}"


def start(code: str, folder: Path) -> ChildProcess:
    return ChildProcess([sys.executable, "-u", "-c", code], dict(os.environ), folder)


def test_a_child_of_a_dead_process_is_found_and_killed(tmp_path: Path, wait_until: Callable[..., None]) -> None:
    process = start(PARENT_OF_ONE.format(then="time.sleep(0.5)"), tmp_path)
    wait_until(lambda: "ready" in process.output.tail())
    (child,) = psutil.Process(process.identity.pid).children()
    wait_until(lambda: process.exit_code() == 0)
    assert child.is_running()
    process.kill()
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_a_process_that_has_taken_over_a_number_is_left_alone() -> None:
    with subprocess.Popen(["sleep", "600"], start_new_session=True) as process:
        now = ProcessIdentity.of(process.pid)
        earlier = ProcessIdentity(now.pid, now.created - 100.0, now.group)
        assert now.is_running()
        assert not earlier.is_running()
        earlier.kill_family()
        assert process.poll() is None
        process.kill()


def test_a_process_that_waits_to_be_collected_counts_as_ended(wait_until: Callable[..., None]) -> None:
    with subprocess.Popen(["sleep", "600"]) as process:
        identity = ProcessIdentity.of(process.pid)
        process.kill()
        wait_until(lambda: psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE)
        assert not identity.is_running()


def test_descendants_go_and_the_process_stays(tmp_path: Path, wait_until: Callable[..., None]) -> None:
    process = start(PARENT_OF_ONE.format(then="time.sleep(600)"), tmp_path)
    wait_until(lambda: "ready" in process.output.tail())
    (child,) = psutil.Process(process.identity.pid).children()
    kill_descendants(process.identity.pid)
    wait_until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)
    assert process.exit_code() is None
    process.kill()


def test_output_is_bounded_and_keeps_the_end(tmp_path: Path) -> None:
    process = start("import sys\nfor i in range(100_000): print('line', i)", tmp_path)
    process.output.wait(20)
    assert process.output.tail(2) == "line 99998\nline 99999"
    assert len(process.output.tail(10**9)) < 100_000
    process.output.clear()
    assert process.output.tail() == ""


@pytest.mark.parametrize("guard", [True, False])
def test_the_end_of_the_parent_ends_the_workers_and_the_folder_once(tmp_path: Path, guard: bool) -> None:
    folder = tmp_path / "private"
    folder.mkdir()
    parent = subprocess.Popen(["sleep", "0.3"])
    worker = subprocess.Popen(["sleep", "600"], start_new_session=True)
    write_json(folder / "worker-1.pid.json", ProcessIdentity.of(worker.pid).to_dict())
    started = time.monotonic()
    end_with_parent(folder, ProcessIdentity.of(parent.pid), poll_s=0.05, guard=guard)
    assert 0.1 < time.monotonic() - started < 5
    assert folder.exists() is not guard
    assert ProcessIdentity.of(worker.pid).is_running() is not guard
    worker.kill()
    worker.wait()
    parent.wait()
