"""The warm worker of this computer: real processes, killed, crashed and cancelled."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest
from sample_jobs import Add, Count, CountIntoFile, Deaf, Fail, LeaveFile, Missing

from MaskWhatMattersLib.errors import InputError, JobCancelledError, JobError, UnknownConceptError
from MaskWhatMattersLib.jobs import LocalWorkerRunner

Wait = Callable[..., None]
TIMEOUT_S = 30.0


def test_submit_returns_at_once_even_when_the_worker_must_start(worker_environment: dict[str, str]) -> None:
    with LocalWorkerRunner(environment=worker_environment) as runner:
        started = time.perf_counter()
        job = runner.submit(Add())
        assert time.perf_counter() - started < 0.05
        assert job.state == "queued"
        assert job.result(TIMEOUT_S) == 1.0
        assert job.events()[0].stage == "Starting the worker"


def test_arrays_go_there_and_back_and_stay_writable(shared_runner: LocalWorkerRunner) -> None:
    array = np.arange(64**3, dtype=np.float32).reshape(1, 64, 64, 64)
    result = shared_runner.submit(Add(), array).result(TIMEOUT_S)
    np.testing.assert_array_equal(result, array + 1)
    assert result.flags.writeable


def test_the_second_job_finds_the_same_process(shared_runner: LocalWorkerRunner) -> None:
    first, second = (shared_runner.submit(Count()).result(TIMEOUT_S) for _ in range(2))
    assert first == second == shared_runner.worker_pid
    assert first != os.getpid()


def test_every_event_arrives_before_the_job_is_done(shared_runner: LocalWorkerRunner) -> None:
    job = shared_runner.submit(Count(steps=3, log_lines=200))
    job.result(TIMEOUT_S)
    events = job.events()
    assert [event.message for event in events if event.kind == "log"] == [f"line {i}" for i in range(200)]
    assert events[-1].step == 3


def test_cancel_takes_effect_within_one_step(
    shared_runner: LocalWorkerRunner, tmp_path: Path, wait_for_stage: Wait
) -> None:
    counted = tmp_path / "steps"
    job = shared_runner.submit(CountIntoFile(path=counted))
    wait_for_stage(job, "Counting")
    worker = shared_runner.worker_pid
    time.sleep(0.3)
    before = counted.stat().st_size
    job.cancel()
    assert job.state == "cancelling"
    with pytest.raises(JobCancelledError):
        job.result(TIMEOUT_S)
    assert counted.stat().st_size - before <= 1
    assert shared_runner.submit(Count()).result(TIMEOUT_S) == worker, "a polite cancel must keep the worker warm"


def test_a_waiting_job_is_cancelled_without_touching_the_running_one(
    shared_runner: LocalWorkerRunner, wait_for_stage: Wait
) -> None:
    running = shared_runner.submit(Count(steps=10, pause_s=0.05))
    waiting = shared_runner.submit(Count())
    wait_for_stage(running, "Counting")
    waiting.cancel()
    assert waiting.state == "cancelled"
    running.result(TIMEOUT_S)


def test_a_job_deaf_to_cancel_is_killed_with_its_children_and_the_next_one_works(
    shared_runner: LocalWorkerRunner, wait_for_stage: Wait
) -> None:
    job = shared_runner.submit(Deaf())
    wait_for_stage(job, "Sleeping")
    family = [psutil.Process(shared_runner.worker_pid), *psutil.Process(shared_runner.worker_pid).children()]
    assert len(family) == 2
    started = time.monotonic()
    job.cancel()
    with pytest.raises(JobCancelledError):
        job.result(TIMEOUT_S)
    assert 0.9 < time.monotonic() - started < 3.0, "it is stopped hard after cancel_timeout_s, here 1 s"
    assert shared_runner.submit(Add()).result(TIMEOUT_S) == 1.0
    assert_gone(family)


def test_a_worker_killed_in_the_middle_of_a_job_is_told_and_replaced(
    shared_runner: LocalWorkerRunner, wait_for_stage: Wait
) -> None:
    job = shared_runner.submit(Count(steps=1000, pause_s=0.1))
    wait_for_stage(job, "Counting")
    os.kill(shared_runner.worker_pid, signal.SIGKILL)
    with pytest.raises(JobError, match=r"SIGKILL.*memory") as caught:
        job.result(5)
    assert job.state == "failed"
    assert "more memory" in caught.value.hint
    assert shared_runner.submit(Add()).result(TIMEOUT_S) == 1.0


def test_a_worker_that_dies_between_two_jobs_is_replaced_unseen(
    shared_runner: LocalWorkerRunner, wait_until: Wait
) -> None:
    pid = shared_runner.submit(Count()).result(TIMEOUT_S)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: shared_runner._cluster.worker.exit_code() is not None)
    assert shared_runner.submit(Count()).result(TIMEOUT_S) != pid


def test_a_dead_scheduler_is_replaced_with_its_worker(shared_runner: LocalWorkerRunner, wait_until: Wait) -> None:
    shared_runner.submit(Add()).result(TIMEOUT_S)
    old = shared_runner._cluster
    os.kill(old.scheduler.identity.pid, signal.SIGKILL)
    wait_until(lambda: not old.alive())
    assert shared_runner.submit(Add()).result(TIMEOUT_S) == 1.0
    assert not old.folder.exists()


def test_the_last_words_of_a_crash_are_shown_even_if_they_are_no_utf_8(shared_runner: LocalWorkerRunner) -> None:
    with pytest.raises(JobError, match="exit code 3") as caught:
        shared_runner.submit(Fail(how="crash")).result(TIMEOUT_S)
    assert "caf\ufffd \ufffd\ufffd last words" in caught.value.details
    assert shared_runner.submit(Add()).result(TIMEOUT_S) == 1.0


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("other", "ZeroDivisionError: nothing to divide by"),
        ("memory", "MemoryError"),
        ("system exit", "SystemExit: 3"),
        ("unpicklable", "result cannot be sent"),
    ],
)
def test_a_failing_job_leaves_the_worker_warm(shared_runner: LocalWorkerRunner, how: str, message: str) -> None:
    worker = shared_runner.submit(Count()).result(TIMEOUT_S)
    with pytest.raises(JobError, match=message) as caught:
        shared_runner.submit(Fail(how=how)).result(TIMEOUT_S)
    assert caught.value.hint
    assert shared_runner.submit(Count()).result(TIMEOUT_S) == worker


def test_the_jobs_own_input_error_crosses_as_itself(shared_runner: LocalWorkerRunner) -> None:
    with pytest.raises(InputError, match=r"^The image has no voxels\.$"):
        shared_runner.submit(Fail(how="input")).result(TIMEOUT_S)
    with pytest.raises(UnknownConceptError) as caught:
        shared_runner.submit(Fail(how="concept")).result(TIMEOUT_S)
    assert caught.value.suggestions == ("left lung", "right lung")


def test_data_that_cannot_travel_fail_the_job_and_no_other(shared_runner: LocalWorkerRunner) -> None:
    with pytest.raises(JobError, match="data of this job cannot be sent"):
        shared_runner.submit(Add(), (number for number in range(3))).result(TIMEOUT_S)
    assert shared_runner.submit(Add()).result(TIMEOUT_S) == 1.0


def test_a_function_that_the_worker_lacks_is_named(shared_runner: LocalWorkerRunner) -> None:
    with pytest.raises(JobError, match="not_there"):
        shared_runner.submit(Missing()).result(TIMEOUT_S)


def test_warming_up_leaves_nothing_to_start_for_the_first_job(
    worker_environment: dict[str, str], wait_until: Wait
) -> None:
    with LocalWorkerRunner(environment=worker_environment) as runner:
        assert runner.worker_pid is None
        runner.warm_up()
        wait_until(lambda: runner.worker_pid)
        job = runner.submit(Count())
        assert job.result(TIMEOUT_S) == runner.worker_pid
        assert job.events()[0].stage == "Counting"


def test_closing_ends_running_and_waiting_jobs_and_removes_everything(
    worker_environment: dict[str, str], wait_for_stage: Wait
) -> None:
    runner = LocalWorkerRunner(environment=worker_environment)
    left = Path(runner.submit(LeaveFile()).result(TIMEOUT_S))
    running, waiting = runner.submit(Deaf()), runner.submit(Add())
    wait_for_stage(running, "Sleeping")
    family = processes_of(runner)
    assert len(family) == 3
    assert left.exists()
    runner.close(wait=False)
    runner.close()
    assert (running.state, waiting.state) == ("cancelled", "cancelled")
    assert_gone(family)
    assert not left.exists(), "what a job leaves in its temporary folder goes with the worker"
    with pytest.raises(JobError, match="closed"):
        runner.submit(Add())


def test_closing_while_the_worker_starts_leaves_nothing(worker_environment: dict[str, str], wait_until: Wait) -> None:
    runner = LocalWorkerRunner(environment=worker_environment)
    job = runner.submit(Add())
    wait_until(lambda: runner._cluster and runner._cluster.worker)
    family, folder = processes_of(runner), runner._cluster.folder
    runner.close()
    assert job.done()
    assert_gone(family)
    assert not folder.exists()


def test_a_runner_that_was_never_used_closes() -> None:
    LocalWorkerRunner().close()


def test_an_interpreter_that_is_not_there_is_named() -> None:
    with LocalWorkerRunner("/nowhere/PythonSlicer") as runner, pytest.raises(JobError, match="/nowhere/PythonSlicer"):
        runner.submit(Add()).result(TIMEOUT_S)


def test_an_interpreter_without_our_packages_shows_what_it_said(tmp_path: Path) -> None:
    bare = tmp_path / "bare-python"
    bare.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S -I "$@"\n')
    bare.chmod(0o755)
    with LocalWorkerRunner(str(bare)) as runner:
        with pytest.raises(JobError, match="could not be started") as caught:
            runner.submit(Add()).result(TIMEOUT_S)
        assert "No module named" in caught.value.details
        assert str(bare) in caught.value.hint


def test_a_launcher_in_front_of_the_interpreter_is_killed_with_it(
    worker_environment: dict[str, str], tmp_path: Path, wait_for_stage: Wait
) -> None:
    launcher = tmp_path / "PythonSlicer"
    launcher.write_text(f'#!/bin/sh\n"{sys.executable}" "$@"\nexit $?\n')
    launcher.chmod(0o755)
    with LocalWorkerRunner(str(launcher), environment=worker_environment) as runner:
        job = runner.submit(Count(steps=1000, pause_s=0.1))
        wait_for_stage(job, "Counting")
        family = processes_of(runner)
        assert len(family) == 4
        os.kill(runner.worker_pid, signal.SIGKILL)
        with pytest.raises(JobError, match="lack of memory"):
            job.result(5)
        assert runner.submit(Add()).result(TIMEOUT_S) == 1.0
        family += processes_of(runner)
    assert_gone(family)


def processes_of(runner: LocalWorkerRunner) -> list[psutil.Process]:
    """Scheduler, worker, and all that they have started."""
    roots = [psutil.Process(child.identity.pid) for child in (runner._cluster.scheduler, runner._cluster.worker)]
    return [process for root in roots for process in (root, *root.children(recursive=True))]


def assert_gone(family: list[psutil.Process]) -> None:
    """No process of the family does anything any more."""
    left = [process for process in family if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
    assert not left
