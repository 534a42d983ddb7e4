"""Jobs in the calling thread."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sample_jobs import Add, Count, Fail, Missing

from MaskWhatMattersLib.errors import InputError, JobCancelledError, JobError, UnknownConceptError
from MaskWhatMattersLib.jobs import InlineRunner


def test_the_job_has_ended_when_submit_returns() -> None:
    job = InlineRunner().submit(Add(amount=2.0), np.ones(3))
    assert job.done()
    assert job.state == "done"
    np.testing.assert_array_equal(job.result(), [3.0, 3.0, 3.0])


def test_it_runs_in_this_very_process_and_keeps_the_events() -> None:
    job = InlineRunner().submit(Count(steps=2))
    assert job.result() == os.getpid()
    assert [(event.kind, event.step) for event in job.events()] == [("stage", 0), ("progress", 1), ("progress", 2)]
    assert job.events() == []


def test_an_observer_sees_each_event_at_once_and_may_cancel() -> None:
    seen = []

    def observe(job: Any, event: Any) -> None:
        seen.append(event.step)
        if event.step == 2:
            job.cancel()

    job = InlineRunner(observe).submit(Count(steps=100, pause_s=0.06))
    assert seen == [0, 1, 2]
    assert job.state == "cancelled"
    with pytest.raises(JobCancelledError):
        job.result()


def test_another_thread_can_cancel(wait_until: Callable[..., None]) -> None:
    runner = InlineRunner()
    thread = threading.Thread(target=lambda: jobs.append(runner.submit(Count(steps=1000, pause_s=0.01))))
    jobs: list[Any] = []
    thread.start()
    wait_until(lambda: runner.current is not None and runner.current.events())
    runner.current.cancel()
    thread.join(5)
    assert jobs[0].state == "cancelled"


def test_an_input_error_comes_back_as_itself() -> None:
    job = InlineRunner().submit(Fail(how="concept"))
    assert job.state == "failed"
    with pytest.raises(UnknownConceptError) as caught:
        job.result()
    assert caught.value.suggestions == ("left lung", "right lung")


@pytest.mark.parametrize("how", ["other", "memory", "system exit"])
def test_any_other_error_becomes_a_job_error_with_traceback_and_hint(how: str) -> None:
    with pytest.raises(JobError) as caught:
        InlineRunner().submit(Fail(how=how)).result()
    assert "sample_jobs.py" in caught.value.details
    assert caught.value.hint


def test_a_job_whose_function_is_missing_fails() -> None:
    with pytest.raises(JobError, match="not_there"):
        InlineRunner().submit(Missing()).result()


def test_ctrl_c_stops_the_job_and_goes_on_upwards() -> None:
    def press(job: Any, event: Any) -> None:
        raise KeyboardInterrupt

    runner = InlineRunner(press)
    with pytest.raises(KeyboardInterrupt):
        runner.submit(Count())
    assert runner.current is None


def test_a_closed_runner_takes_no_job() -> None:
    with InlineRunner() as runner:
        pass
    with pytest.raises(JobError, match="closed"):
        runner.submit(Add())


def test_an_error_that_cannot_travel_becomes_a_plain_input_error() -> None:
    from MaskWhatMattersLib.jobs.execution import _portable

    class LocalError(InputError):
        pass

    assert type(_portable(LocalError("The image is empty."))) is InputError
