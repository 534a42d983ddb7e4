"""Real Dask schedulers on this computer, as a GPU server would offer them."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from sample_jobs import Add, Count, Deaf, Fail

import MaskWhatMattersLib
from dask_cluster import dask_cluster
from MaskWhatMattersLib.errors import InputError, JobCancelledError, JobError
from MaskWhatMattersLib.jobs import SchedulerRunner
from MaskWhatMattersLib.jobs.credentials import write_credentials
from MaskWhatMattersLib.jobs.local_cluster import _worker_environment

TIMEOUT_S = 30.0
Wait = Callable[..., None]


@pytest.fixture(scope="module")
def environment(worker_environment: dict[str, str]) -> dict[str, str]:
    return _worker_environment(worker_environment)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> Iterator[str]:
    with dask_cluster(tmp_path_factory.mktemp("cluster"), environment) as address:
        yield address


@pytest.fixture(scope="module")
def runner(address: str) -> Iterator[SchedulerRunner]:
    with SchedulerRunner(address, cancel_timeout_s=1.0, connect_timeout_s=20.0) as runner:
        yield runner


def test_arrays_and_events_travel(runner: SchedulerRunner) -> None:
    job = runner.submit(Add(amount=2.0), np.ones((1, 8, 8, 8), dtype=np.float32))
    np.testing.assert_array_equal(job.result(TIMEOUT_S), np.full((1, 8, 8, 8), 3.0))
    assert [(event.kind, event.stage) for event in job.events()][-2:] == [("stage", "Adding"), ("progress", "Adding")]


def test_errors_cross_and_the_next_job_works(runner: SchedulerRunner) -> None:
    with pytest.raises(InputError, match="no voxels"):
        runner.submit(Fail(how="input")).result(TIMEOUT_S)
    with pytest.raises(JobError, match="ZeroDivisionError"):
        runner.submit(Fail(how="other")).result(TIMEOUT_S)
    assert runner.submit(Add()).result(TIMEOUT_S) == 1.0


def test_many_jobs_may_be_under_way(runner: SchedulerRunner) -> None:
    jobs = [runner.submit(Add(amount=float(amount))) for amount in range(8)]
    assert [job.result(TIMEOUT_S) for job in jobs] == [float(amount) for amount in range(8)]


def test_cancel_is_cooperative_and_keeps_the_worker(runner: SchedulerRunner, wait_for_stage: Wait) -> None:
    pid = runner.submit(Count()).result(TIMEOUT_S)
    job = runner.submit(Count(steps=1000, pause_s=0.05))
    wait_for_stage(job, "Counting")
    started = time.monotonic()
    job.cancel()
    with pytest.raises(JobCancelledError):
        job.result(TIMEOUT_S)
    assert time.monotonic() - started < 0.9
    assert runner.submit(Count()).result(TIMEOUT_S) == pid


def test_a_deaf_job_is_stopped_by_restarting_its_worker(runner: SchedulerRunner, wait_for_stage: Wait) -> None:
    pid = runner.submit(Count()).result(TIMEOUT_S)
    job = runner.submit(Deaf())
    wait_for_stage(job, "Sleeping")
    job.cancel()
    with pytest.raises(JobCancelledError):
        job.result(TIMEOUT_S)
    assert runner.submit(Count()).result(TIMEOUT_S) != pid


def test_a_worker_that_dies_is_told_and_the_next_job_works(runner: SchedulerRunner, wait_for_stage: Wait) -> None:
    pid = runner.submit(Count()).result(TIMEOUT_S)
    job = runner.submit(Count(steps=1000, pause_s=0.1))
    wait_for_stage(job, "Counting")
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(JobError, match="remote worker was lost") as caught:
        job.result(TIMEOUT_S)
    assert "memory" in caught.value.hint
    assert runner.submit(Add()).result(TIMEOUT_S) == 1.0


def test_closing_leaves_the_cluster_running(address: str) -> None:
    with SchedulerRunner(address) as first:
        pid = first.submit(Count()).result(TIMEOUT_S)
    with SchedulerRunner(address) as second:
        assert second.submit(Count()).result(TIMEOUT_S) == pid
    with pytest.raises(JobError, match="closed"):
        second.submit(Count())


def test_nobody_answering_is_told_within_the_timeout() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]
    started = time.monotonic()
    runner = SchedulerRunner(f"tcp://127.0.0.1:{free}", connect_timeout_s=1.0)
    with runner, pytest.raises(JobError, match="No Dask scheduler answers") as caught:
        runner.submit(Add()).result(TIMEOUT_S)
    assert time.monotonic() - started < 5
    assert "Check host, port" in caught.value.hint


def test_tls_is_spoken_with_the_given_files(environment: dict[str, str], tmp_path: Path) -> None:
    write_credentials(tmp_path)
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    options = ("--tls-ca-file", str(certificate), "--tls-cert", str(certificate), "--tls-key", str(key))
    with dask_cluster(tmp_path, environment, scheme="tls", options=options) as address:
        files = {"tls_ca": certificate, "tls_cert": certificate, "tls_key": key}
        with SchedulerRunner(address, **files, connect_timeout_s=20.0) as runner:
            assert runner.submit(Add()).result(TIMEOUT_S) == 1.0
        plain = SchedulerRunner(address.replace("tls", "tcp"), connect_timeout_s=1.0)
        with plain, pytest.raises(JobError, match="No Dask scheduler answers"):
            plain.submit(Add()).result(TIMEOUT_S)


def test_a_scheduler_of_another_version_is_refused_with_both_versions(
    environment: dict[str, str], tmp_path: Path
) -> None:
    source = Path(MaskWhatMattersLib.__file__).parent
    shutil.copytree(source, tmp_path / source.name, ignore=shutil.ignore_patterns("weights", "__pycache__"))
    package = tmp_path / source.name / "__init__.py"
    here = MaskWhatMattersLib.__version__
    package.write_text(package.read_text().replace(f'__version__ = "{here}"', '__version__ = "9.9.9"'))
    other = environment | {"PYTHONPATH": str(tmp_path)}
    with dask_cluster(tmp_path, other) as address, SchedulerRunner(address, connect_timeout_s=20.0) as runner:
        with pytest.raises(JobError, match=f"MaskWhatMattersLib is 9.9.9 there and {here} here") as caught:
            runner.submit(Add()).result(TIMEOUT_S)
        assert "worker tcp://127.0.0.1" in caught.value.details


def test_a_cluster_without_this_library_is_told_to_install_it(environment: dict[str, str], tmp_path: Path) -> None:
    # The environment of the tests has the library installed, so the processes of the cluster are kept from finding it.
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.modules['MaskWhatMattersLib'] = None\n")
    bare = environment | {"PYTHONPATH": str(tmp_path)}
    with dask_cluster(tmp_path, bare) as address, SchedulerRunner(address, connect_timeout_s=20.0) as runner:
        with pytest.raises(JobError, match="No module named") as caught:
            runner.submit(Add()).result(TIMEOUT_S)
        assert "Install MaskWhatMattersLib" in caught.value.hint


def test_a_scheduler_without_workers_says_how_to_start_one(environment: dict[str, str], tmp_path: Path) -> None:
    with dask_cluster(tmp_path, environment, worker=False) as address:
        wait_for_port(address)
        with SchedulerRunner(address, connect_timeout_s=1.0) as runner:
            with pytest.raises(JobError, match="has no worker") as caught:
                runner.submit(Add()).result(TIMEOUT_S)
            assert f"dask worker {address}" in caught.value.hint


def test_a_scheduler_that_goes_away_fails_the_job(
    environment: dict[str, str], tmp_path: Path, wait_for_stage: Wait
) -> None:
    with dask_cluster(tmp_path, environment) as address, SchedulerRunner(address, connect_timeout_s=20.0) as runner:
        job = runner.submit(Count(steps=1000, pause_s=0.1))
        wait_for_stage(job, "Counting")
        port = address.rsplit(":", 1)[1]
        for process in psutil.Process().children():
            if port in process.cmdline() and "scheduler" in process.cmdline():
                process.kill()
        with pytest.raises(JobError, match="lost"):
            job.result(TIMEOUT_S)


def wait_for_port(address: str) -> None:
    host, port = address.split("://")[1].split(":")
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline:
        try:
            socket.create_connection((host, int(port)), 1.0).close()
            return
        except OSError:
            time.sleep(0.05)
