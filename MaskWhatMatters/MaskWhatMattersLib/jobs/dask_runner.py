"""What running on Dask has in common, be the worker local or remote: a queue, events, cancel, errors, close."""

from __future__ import annotations

import abc
import atexit
import queue
import threading
import time
import uuid
import warnings
import weakref
from types import TracebackType
from typing import Any, Self

from MaskWhatMattersLib.errors import InputError, JobError
from MaskWhatMattersLib.jobs.dask_access import Client, Future
from MaskWhatMattersLib.jobs.events import Event
from MaskWhatMattersLib.jobs.execution import Outcome
from MaskWhatMattersLib.jobs.job import Job
from MaskWhatMattersLib.jobs.parcels import Parcel, pack, unpack
from MaskWhatMattersLib.jobs.spec import JobSpec
from MaskWhatMattersLib.jobs.versions import library_versions, require_same_versions
from MaskWhatMattersLib.jobs.worker_side import request_cancel, run_parcel

_Payload = tuple[JobSpec, tuple[Any, ...]]

_LOOK_S = 0.2  # how often the state of a running job's worker is looked at
_SEND_ATTEMPTS = 4
_SEND_PAUSE_S = 1.0
_LAST_EVENTS_S = 1.0  # a result may overtake the last events of its job by so much
_CLOSE_GRACE_S = 2.0  # a running job may end by itself for so long when the runner closes


class DaskRunner(abc.ABC):
    """Feeds jobs to a Dask scheduler from threads of its own, so that `submit` never waits.

    A job's data leave this process only when its turn comes: a worker that dies takes one job with it, and the jobs
    behind it are unharmed.

    Args:
        parallel: How many jobs may be under way at once.
        cancel_timeout_s: A cancelled job that has not stopped by itself after this time is stopped hard, s.
    """

    def __init__(self, *, parallel: int, cancel_timeout_s: float) -> None:
        self._parallel = parallel
        self._cancel_timeout_s = cancel_timeout_s
        self._topic = f"maskwhatmatters-{uuid.uuid4().hex}"
        self._queue: queue.SimpleQueue[tuple[Job, _Payload] | None] = queue.SimpleQueue()
        self._jobs: dict[str, Job] = {}
        self._workers: dict[str, str] = {}  # job id -> address of the worker that runs it
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._closing = threading.Event()
        self._closer: threading.Thread | None = None
        self._closed = threading.Event()
        atexit.register(_close_if_alive, weakref.ref(self))

    def submit(self, spec: JobSpec, *data: Any) -> Job:
        """Queue a job and return at once.

        Raises:
            JobError: The runner is closed.
        """
        job = Job()
        with self._lock:
            if self._closing.is_set():
                raise JobError("This runner is closed, so the job was not started.", hint="Make a new runner.")
            self._jobs[job.id] = job
            if len(self._threads) < min(self._parallel, len(self._jobs)):
                thread = threading.Thread(target=self._work, name="job dispatcher", daemon=True)
                self._threads.append(thread)
                thread.start()
        self._queue.put((job, (spec, data)))
        return job

    def unfinished(self) -> list[Job]:
        """Jobs that have not ended, the one that was submitted first in front."""
        with self._lock:
            return [job for job in self._jobs.values() if not job.done()]

    def close(self, wait: bool = True) -> None:
        """Cancel all jobs and leave no process, connection or file behind. May be called twice, from any thread.

        Args:
            wait: Return when all is gone; a GUI passes False and lets it happen in the background.
        """
        with self._lock:
            self._closing.set()
            if self._closer is None and not self._closed.is_set():
                self._closer = threading.Thread(target=self._close, name="job runner closer", daemon=True)
                self._closer.start()
        if wait:
            self._closed.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @abc.abstractmethod
    def _connect(self, job: Job) -> Client:
        """A client that is connected to a working scheduler and worker; may take seconds.

        Raises:
            JobError: There is none, and why.
        """

    @abc.abstractmethod
    def _why_lost(self, error: BaseException | None) -> JobError | None:
        """Why the worker of a running job is gone; None while it is there or `error` has another cause."""

    @abc.abstractmethod
    def _stop_hard(self, client: Client, worker: str | None) -> None:
        """Stop a job that does not listen, and make sure that the next one finds a worker."""

    @abc.abstractmethod
    def _recover(self) -> None:
        """Prepare for the next job after a worker was lost."""

    @abc.abstractmethod
    def _leave(self) -> None:
        """Close the connection and remove what this runner has made."""

    def _targets(self) -> list[str] | None:
        """Addresses of the workers that may be used; None for all."""
        return None

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            job, payload = item
            del item
            try:
                self._run(job, payload)
            except (JobError, InputError) as error:
                job.finish(Outcome("failed", error=error))
            except Exception as error:
                job.finish(Outcome("failed", error=self._explain(error)))
            finally:
                with self._lock:
                    self._jobs.pop(job.id, None)
                    self._workers.pop(job.id, None)
                del job, payload  # this thread waits for the next job without holding on to the last one's images

    def _run(self, job: Job, payload: _Payload) -> None:
        if job.done():
            return
        client = self._connect(job)
        if not job.begin():
            return
        parcel = pack(payload, "The data of this job")
        del payload
        for attempts_left in reversed(range(_SEND_ATTEMPTS)):
            try:
                sent, future = self._send(client, job, parcel)
                break
            except OSError:  # the worker is going, or just restarts; the job has not begun, so it may be sent again
                if not attempts_left:
                    raise
                time.sleep(_SEND_PAUSE_S)
                client = self._connect(job)
        del parcel
        try:
            future.add_done_callback(lambda _: job.wake.set())
            if self._wait(job, client, future):
                outcome = unpack(future.result())
                job.reported.wait(_LAST_EVENTS_S)
                job.finish(outcome)
        finally:
            future.cancel()
            sent.release()

    def _send(self, client: Client, job: Job, parcel: Parcel) -> tuple[Future, Future]:
        targets = self._targets()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # Dask advises against large data; images are large
            sent = client.scatter([parcel], workers=targets, hash=False)[0]
            key = f"maskwhatmatters-{job.id}"
            return sent, client.submit(run_parcel, job.id, self._topic, sent, key=key, workers=targets, pure=False)

    def _wait(self, job: Job, client: Client, future: Future) -> bool:
        """Wait for the end of a job; False when it had to be ended from here."""
        told = False
        while not future.done():
            job.wake.wait(_LOOK_S)
            job.wake.clear()
            if future.done():
                break
            if (lost := self._why_lost(None)) is not None:
                job.finish(Outcome("failed", error=lost))
                self._recover()
                return False
            if job.cancel_requested_at is None:
                continue
            if not told:
                told = True
                # In a thread, for the worker cannot answer while native code holds its interpreter.
                threading.Thread(target=self._tell_cancel, args=(client, job), daemon=True).start()
            if time.monotonic() - job.cancel_requested_at > self._cancel_timeout_s:
                job.finish(Outcome("cancelled"))
                future.cancel()
                self._stop_hard(client, self._workers.get(job.id))
                return False
        return True

    def _tell_cancel(self, client: Client, job: Job) -> None:
        worker = self._workers.get(job.id)
        try:
            client.run(request_cancel, job.id, workers=[worker] if worker else None, on_error="ignore")
        except Exception as error:  # the job ends hard then
            job.report(Event("log", message=f"The worker did not take the cancel: {error}"))

    def _explain(self, error: Exception) -> JobError:
        lost = self._why_lost(error)
        if lost is not None:
            return lost
        return JobError(
            f"The job could not be run on the worker. {type(error).__name__}: {error}",
            hint="Try again; if it happens again, report it together with what you did.",
        )

    def _listen(self, client: Client) -> None:
        """Receive the events of this runner's jobs."""
        client.subscribe_topic(self._topic, self._receive)

    def _receive(self, event: tuple[float, dict[str, Any]]) -> None:
        message = event[1]
        job = self._jobs.get(message["job"])
        if job is None:
            return
        if "event" in message:
            job.report(Event.from_dict(message["event"]))
        elif "began_on" in message:
            self._workers[job.id] = message["began_on"]
        else:
            job.reported.set()

    def _close_at_exit(self) -> None:
        """Close in this thread, since Python starts no threads any more while it ends."""
        with self._lock:
            self._closing.set()
            elsewhere = self._closer is not None
        if elsewhere:
            self._closed.wait(_CLOSE_GRACE_S + 5.0)
        else:
            self._close()

    def _close(self) -> None:
        with self._lock:
            jobs = list(self._jobs.values())
        for job in jobs:
            job.cancel()
        deadline = time.monotonic() + _CLOSE_GRACE_S
        while self._workers and time.monotonic() < deadline:
            time.sleep(0.02)
        try:
            self._leave()
        finally:
            for job in jobs:
                job.finish(Outcome("cancelled"))
            for _ in self._threads:
                self._queue.put(None)
            self._closed.set()


def check_versions(client: Client, here: dict[str, str] | None = None) -> None:
    """Compare the versions of scheduler and workers with those of this process.

    Raises:
        JobError: They differ, or the other side lacks this library.
    """
    try:
        there = {"scheduler": client.run_on_scheduler(library_versions)}
        there |= {f"worker {address}": versions for address, versions in client.run(library_versions).items()}
    except (ImportError, AttributeError) as error:
        raise JobError(
            f"The scheduler or its workers cannot run our jobs. {type(error).__name__}: {error}.",
            hint="Install MaskWhatMattersLib, in the version used here, with the scheduler and with every worker.",
        ) from error
    require_same_versions(here or library_versions(), there)


def _close_if_alive(runner: weakref.ref[DaskRunner]) -> None:
    if (alive := runner()) is not None:
        alive._close_at_exit()
