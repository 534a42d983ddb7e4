"""The handle of a job, without a runner."""

from __future__ import annotations

import pytest

from MaskWhatMattersLib.errors import JobCancelledError
from MaskWhatMattersLib.jobs import Event, Job
from MaskWhatMattersLib.jobs.execution import Outcome


def test_a_waiting_job_is_cancelled_at_once_and_never_begins() -> None:
    job = Job()
    job.cancel()
    assert job.state == "cancelled"
    assert not job.begin()
    with pytest.raises(JobCancelledError):
        job.result()


def test_a_running_job_is_cancelling_until_it_ends() -> None:
    job = Job()
    job.begin()
    job.cancel()
    job.cancel()
    assert job.state == "cancelling"
    job.finish(Outcome("done", 3))
    assert job.state == "cancelled"


def test_the_first_end_counts() -> None:
    job = Job()
    job.begin()
    job.finish(Outcome("done", 3))
    job.finish(Outcome("cancelled"))
    job.cancel()
    assert job.result() == 3
    assert job.error is None


def test_waiting_too_briefly_says_that_the_job_still_runs() -> None:
    with pytest.raises(TimeoutError, match="still runs"):
        Job().result(timeout=0.01)


def test_nobody_reading_the_events_does_not_fill_the_memory() -> None:
    job = Job()
    for number in range(20_000):
        job.report(Event("log", message=str(number)))
    events = job.events()
    assert len(events) == 10_000
    assert events[-1].message == "19999"
