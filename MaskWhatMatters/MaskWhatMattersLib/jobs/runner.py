"""What every runner offers, and the simplest one: run the job here and now."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any, Protocol, Self

from MaskWhatMattersLib.errors import JobError
from MaskWhatMattersLib.jobs.context import JobContext
from MaskWhatMattersLib.jobs.events import Event
from MaskWhatMattersLib.jobs.execution import Outcome, execute
from MaskWhatMattersLib.jobs.job import Job
from MaskWhatMattersLib.jobs.spec import JobSpec


class Runner(Protocol):
    """Runs jobs somewhere. Use it in a `with` statement, or call `close`."""

    def submit(self, spec: JobSpec, *data: Any) -> Job:
        """Hand over a job with the data that its function takes after spec and context."""

    def close(self) -> None:
        """Cancel what runs and leave nothing behind; may be called twice."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class InlineRunner:
    """Runs each job in the calling thread, so that `submit` returns a job that has ended.

    Args:
        on_event: Called with the job and each event while the job runs; it may call `job.cancel()`.
    """

    def __init__(self, on_event: Callable[[Job, Event], None] | None = None) -> None:
        self._on_event = on_event
        self._closed = False
        self.current: Job | None = None
        """The job that runs now, for other threads that want to watch or cancel it."""

    def submit(self, spec: JobSpec, *data: Any) -> Job:
        """Run the job to its end.

        Raises:
            JobError: The runner is closed.
        """
        if self._closed:
            raise JobError("This runner is closed, so the job was not started.", hint="Make a new runner.")
        job = Job()

        def send(event: Event) -> None:
            job.report(event)
            if self._on_event is not None:
                self._on_event(job, event)

        self.current = job
        job.begin()
        try:
            job.finish(execute(spec, JobContext(send, lambda: job.cancel_requested_at is not None), data))
        finally:
            job.finish(Outcome("cancelled"))  # only reached unfinished by Ctrl+C, which goes on upwards
            self.current = None
        return job

    def close(self) -> None:
        """Take no more jobs, and cancel the one that runs."""
        self._closed = True
        if (job := self.current) is not None:
            job.cancel()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
