"""The handle of a submitted job: its state, its events, its result, and the wish to cancel it."""

from __future__ import annotations

import threading
import time
import uuid
from collections import deque
from typing import Any, Literal

from MaskWhatMattersLib.errors import InputError, JobCancelledError, JobError
from MaskWhatMattersLib.jobs.events import Event
from MaskWhatMattersLib.jobs.execution import Outcome

State = Literal["queued", "running", "cancelling", "done", "failed", "cancelled"]

_MAX_WAITING_EVENTS = 10_000  # a job that logs without end must not fill the memory of a GUI that does not look


class Job:
    """One job. Every method may be called from any thread; only `result` waits.

    Runners drive it with `begin`, `report`, `finish`, `wake` and `reported`; everybody else uses the rest.
    """

    def __init__(self) -> None:
        self.id = uuid.uuid4().hex[:12]
        self.wake = threading.Event()
        """Set when the runner that waits on this job has something to look at."""
        self.reported = threading.Event()
        """Set by the runner when the last event of the job has arrived."""
        self.cancel_requested_at: float | None = None
        """`time.monotonic()` of the first call of `cancel`."""
        self._lock = threading.Lock()
        self._finished = threading.Event()
        self._state: State = "queued"
        self._outcome: Outcome | None = None
        self._events: deque[Event] = deque(maxlen=_MAX_WAITING_EVENTS)

    @property
    def state(self) -> State:
        """queued, running, cancelling, done, failed or cancelled; it only moves to the right."""
        return self._state

    def done(self) -> bool:
        """Whether the job has ended, well or not."""
        return self._finished.is_set()

    def cancel(self) -> None:
        """Ask the job to stop. A waiting job ends now, a running one at its next step or when it is stopped hard."""
        with self._lock:
            if self.done() or self.cancel_requested_at is not None:
                return
            self.cancel_requested_at = time.monotonic()
            if self._state == "running":
                self._state = "cancelling"
            else:
                self._finish(Outcome("cancelled"))
        self.wake.set()

    def events(self) -> list[Event]:
        """Events since the last call, oldest first. Never waits, so that a GUI timer can call it."""
        events = []
        while self._events:
            events.append(self._events.popleft())
        return events

    def result(self, timeout: float | None = None) -> Any:
        """Wait for the end and return what the job's function returned.

        Args:
            timeout: Longest wait, s; None waits as long as it takes.

        Raises:
            JobError: The job failed; `details` and `hint` say more.
            InputError: The job refused its input.
            JobCancelledError: The job was cancelled.
            TimeoutError: The job still runs.
        """
        if not self._finished.wait(timeout):
            raise TimeoutError(f"The job still runs after {timeout} s. Wait longer, or cancel it.")
        outcome = self._outcome
        assert outcome is not None
        if outcome.state == "cancelled":
            raise JobCancelledError("The job was cancelled.")
        if outcome.error is not None:
            raise outcome.error
        return outcome.value

    @property
    def error(self) -> JobError | InputError | None:
        """Why the job failed; None unless the state is "failed"."""
        return self._outcome.error if self._outcome is not None else None

    def begin(self) -> bool:
        """Move from queued to running; False when the job was cancelled meanwhile."""
        with self._lock:
            if self._state != "queued":
                return False
            self._state = "running"
            return True

    def report(self, event: Event) -> None:
        """Keep an event until somebody asks for it."""
        self._events.append(event)

    def finish(self, outcome: Outcome) -> None:
        """End the job; later calls are ignored. What finishes well after a cancel still counts as cancelled."""
        with self._lock:
            if not self.done():
                self._finish(Outcome("cancelled") if self.cancel_requested_at is not None else outcome)

    def _finish(self, outcome: Outcome) -> None:
        self._outcome = outcome
        self._state = outcome.state
        self._finished.set()
