"""What a job's function reports, seen from the other end."""

from __future__ import annotations

import pytest

from MaskWhatMattersLib.errors import JobCancelledError
from MaskWhatMattersLib.jobs import Event, JobContext


class Clock:
    """Seconds that move when told to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_steps_carry_elapsed_and_remaining_time() -> None:
    events: list[Event] = []
    clock = Clock()
    context = JobContext(events.append, clock=clock)
    clock.now = 10.0
    context.stage("Reading", total=4)
    clock.now = 12.0
    context.step(message="half of a half")
    assert events[-1] == Event("progress", "Reading", 1, 4, elapsed_s=12.0, remaining_s=6.0, message="half of a half")


def test_remaining_time_is_unknown_before_the_first_step_and_without_a_total() -> None:
    events: list[Event] = []
    context = JobContext(events.append)
    context.stage("Reading", total=4)
    context.stage("Looking")
    context.step()
    assert [event.remaining_s for event in events] == [None, None, None]


def test_a_million_steps_send_few_events_but_always_the_last() -> None:
    events: list[Event] = []
    clock = Clock()
    context = JobContext(events.append, interval_s=0.05, clock=clock)
    context.stage("Walking", total=1000)
    for _ in range(1000):
        clock.now += 0.001
        context.step()
    assert events[-1].step == 1000
    assert 15 <= len(events) <= 25


def test_no_log_line_is_merged_away() -> None:
    events: list[Event] = []
    context = JobContext(events.append)
    for number in range(100):
        context.log(f"line {number}")
    assert [event.message for event in events] == [f"line {number}" for number in range(100)]


@pytest.mark.parametrize("call", ["stage", "step", "raise_if_cancelled"])
def test_each_call_notices_a_cancel(call: str) -> None:
    context = JobContext(lambda event: None, is_cancelled=lambda: True)
    arguments = ["Reading"] if call == "stage" else []
    with pytest.raises(JobCancelledError):
        getattr(context, call)(*arguments)


def test_an_event_survives_the_way_over_plain_values() -> None:
    event = Event("progress", "Reading", 1, 4, 2.0, 6.0, "x")
    assert Event.from_dict(event.to_dict()) == event
