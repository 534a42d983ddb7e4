"""Who can reach the local worker, and what stays when everything around it is killed."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from sample_jobs import Add

from MaskWhatMattersLib.errors import JobError
from MaskWhatMattersLib.jobs import LocalWorkerRunner
from MaskWhatMattersLib.jobs.credentials import write_credentials
from MaskWhatMattersLib.jobs.dask_access import open_client, tls_security
from MaskWhatMattersLib.jobs.local_cluster import _worker_environment

TIMEOUT_S = 30.0


@pytest.fixture
def runner(shared_runner: LocalWorkerRunner) -> LocalWorkerRunner:
    shared_runner.submit(Add()).result(TIMEOUT_S)
    return shared_runner


def test_only_the_owner_can_read_the_keys(runner: LocalWorkerRunner) -> None:
    folder = runner._cluster.folder
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.glob("*.pem")} == {0o600}


def test_each_process_opens_one_port_on_loopback_and_no_dashboard(runner: LocalWorkerRunner) -> None:
    for child in (runner._cluster.scheduler, runner._cluster.worker):
        connections = psutil.Process(child.identity.pid).net_connections()
        listening = [connection.laddr.ip for connection in connections if connection.status == psutil.CONN_LISTEN]
        assert listening == ["127.0.0.1"]


@pytest.mark.parametrize("target", ["scheduler", "worker"])
def test_a_plain_client_is_refused(runner: LocalWorkerRunner, target: str) -> None:
    cluster = runner._cluster
    address = cluster.client.scheduler.address if target == "scheduler" else cluster.worker_address
    with pytest.raises(OSError, match=r"reset by peer|Timed out"):
        open_client(address.replace("tls://", "tcp://"), None, 1.0)


def test_neither_side_trusts_other_credentials(runner: LocalWorkerRunner, tmp_path: Path) -> None:
    write_credentials(tmp_path)
    ours, other = runner._cluster.folder / "certificate.pem", tmp_path / "certificate.pem"
    for trusted in (other, ours):
        stranger = tls_security(trusted, other, tmp_path / "key.pem")
        with pytest.raises(OSError, match=r"certificate|closed|Timed out"):
            open_client(runner._cluster.client.scheduler.address, stranger, 1.0)


def test_no_warnings_of_dask_reach_the_log_of_a_healthy_worker(runner: LocalWorkerRunner) -> None:
    assert runner._cluster.worker.output.tail() == ""


@pytest.mark.parametrize("job", ["Add()", "Deaf()"])
def test_nothing_survives_when_the_parent_is_killed(
    worker_environment: dict[str, str], tmp_path: Path, wait_until: Callable[..., None], job: str
) -> None:
    code = f"""
import time
from MaskWhatMattersLib.jobs import LocalWorkerRunner
from sample_jobs import Add, Deaf
runner = LocalWorkerRunner()
job = runner.submit({job})
while not job.done() and not any(event.stage == "Sleeping" for event in job.events()):
    time.sleep(0.05)
print("ready", flush=True)
time.sleep(600)
"""
    environment = _worker_environment(worker_environment) | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE) as parent:
        assert parent.stdout.readline() == b"ready\n"
        family = psutil.Process(parent.pid).children(recursive=True)
        assert len(family) == (2 if job == "Add()" else 3)
        assert len(list(tmp_path.iterdir())) == 1
        parent.kill()
        wait_until(lambda: not any(is_alive(process) for process in family), timeout_s=8)
        wait_until(lambda: not list(tmp_path.iterdir()), timeout_s=2)


def test_a_program_that_forgets_to_close_leaves_nothing(worker_environment: dict[str, str], tmp_path: Path) -> None:
    code = """
import os
from MaskWhatMattersLib.jobs import LocalWorkerRunner
from sample_jobs import Add
runner = LocalWorkerRunner()
runner.submit(Add()).result()
print(runner.worker_pid, runner._cluster.scheduler.identity.pid)
"""
    environment = _worker_environment(worker_environment) | {"TMPDIR": str(tmp_path)}
    ended = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0
    assert ended.stderr == ""
    assert not any(psutil.pid_exists(int(pid)) and is_alive(psutil.Process(int(pid))) for pid in ended.stdout.split())
    assert list(tmp_path.iterdir()) == []


def test_the_library_comes_first_on_the_workers_path_and_dask_settings_of_others_stay_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DASK_DISTRIBUTED__ADMIN__TICK__LIMIT", "1s")
    monkeypatch.setenv("PYTHONPATH", "/inherited")
    environment = _worker_environment({"PYTHONPATH": "/extra"})
    paths = environment["PYTHONPATH"].split(os.pathsep)
    assert (Path(paths[0]) / "MaskWhatMattersLib").is_dir()
    assert paths[1:] == ["/extra", "/inherited"]
    assert not [name for name in environment if name.startswith("DASK_")]


def test_a_worker_that_never_gets_ready_is_given_up(tmp_path: Path) -> None:
    sleepy = tmp_path / "python"
    sleepy.write_text("#!/bin/sh\necho still thinking\nsleep 600\n")
    sleepy.chmod(0o755)
    with LocalWorkerRunner(str(sleepy), start_timeout_s=0.5) as runner:
        with pytest.raises(JobError, match="before it was ready") as caught:
            runner.submit(Add()).result(TIMEOUT_S)
        assert "still thinking" in caught.value.details


def is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
