"""Runners that the tests of this room share, and the sample jobs that they run."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from MaskWhatMattersLib.jobs import Job, LocalWorkerRunner

HERE = Path(__file__).parent
if str(HERE) not in sys.path:
    sys.path.append(str(HERE))  # a spec and its function must have one name here and in the worker


@pytest.fixture(scope="session")
def worker_environment() -> dict[str, str]:
    """What a worker needs to find the sample jobs."""
    return {"PYTHONPATH": str(HERE), "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="session")
def shared_runner(worker_environment: dict[str, str]) -> Iterator[LocalWorkerRunner]:
    """One warm worker for all tests that leave it in order, even those that break its process."""
    with LocalWorkerRunner(environment=worker_environment, cancel_timeout_s=1.0) as runner:
        yield runner


@pytest.fixture(scope="session")
def wait_until() -> Callable[..., None]:
    """Wait until a condition holds, or fail."""

    def wait(condition: Callable[[], Any], timeout_s: float = 20.0) -> None:
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline, "waited in vain"
            time.sleep(0.02)

    return wait


@pytest.fixture(scope="session")
def wait_for_stage(wait_until: Callable[..., None]) -> Callable[[Job, str], None]:
    """Wait until a job has reached a stage."""

    def wait(job: Job, stage: str) -> None:
        wait_until(lambda: job.done() or any(event.stage == stage for event in job.events()))
        assert not job.done(), f"the job ended as {job.state}: {job.error}"

    return wait
