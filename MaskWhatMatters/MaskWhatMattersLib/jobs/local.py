"""Run jobs on a warm worker process of this computer."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import suppress

from MaskWhatMattersLib.errors import JobError
from MaskWhatMattersLib.jobs.dask_access import Client
from MaskWhatMattersLib.jobs.dask_runner import DaskRunner, check_versions
from MaskWhatMattersLib.jobs.events import Event
from MaskWhatMattersLib.jobs.hints import describe_exit
from MaskWhatMattersLib.jobs.job import Job
from MaskWhatMattersLib.jobs.local_cluster import LocalCluster, default_interpreter


class LocalWorkerRunner(DaskRunner):
    """Runs one job after the other in one worker process that stays warm: models that are loaded stay loaded.

    The worker is started by the first job or by `warm_up`, and again after it died. It ends with `close` or with this
    process, whichever comes first, however that comes.

    Args:
        interpreter: Python that runs the worker; this one when None. In Slicer that is PythonSlicer.
        environment: Variables for the worker, beyond those of this process.
        cancel_timeout_s: A cancelled job that has not stopped after this time is killed with its worker, s.
        start_timeout_s: Longest time for the worker to come up, s.
    """

    def __init__(
        self,
        interpreter: str | None = None,
        *,
        environment: Mapping[str, str] | None = None,
        cancel_timeout_s: float = 10.0,
        start_timeout_s: float = 60.0,
    ) -> None:
        super().__init__(parallel=1, cancel_timeout_s=cancel_timeout_s)
        self._interpreter = interpreter or default_interpreter()
        self._environment = dict(environment or {})
        self._start_timeout_s = start_timeout_s
        self._cluster: LocalCluster | None = None
        self._cluster_lock = threading.RLock()

    def warm_up(self) -> None:
        """Start the worker in the background, so that the first job finds it ready."""
        threading.Thread(target=self._warm_up, name="worker start", daemon=True).start()

    @property
    def worker_pid(self) -> int | None:
        """Process number of the worker; None while there is none."""
        cluster = self._cluster
        return cluster.worker_pid or None if cluster is not None else None

    def _warm_up(self) -> None:
        with suppress(JobError):  # the first job meets the same trouble and has somebody to tell it to
            self._connect(None)

    def _connect(self, job: Job | None) -> Client:
        with self._cluster_lock:
            if self._closing.is_set():
                raise JobError("The runner was closed before the job could start.")
            if self._cluster is not None and not self._cluster.alive():
                self._discard()
            if self._cluster is None:
                if job is not None:
                    job.report(Event("stage", stage="Starting the worker"))
                self._start()
            assert self._cluster is not None
            assert self._cluster.worker is not None
            if self._cluster.worker.exit_code() is not None:
                self._cluster.restart_worker()
            self._cluster.worker.output.clear()
            assert self._cluster.client is not None
            return self._cluster.client

    def _start(self) -> None:
        self._cluster = LocalCluster(self._interpreter, self._environment, self._start_timeout_s, self._closing)
        try:
            client = self._cluster.start()
            check_versions(client)
            self._listen(client)
        except BaseException:
            self._discard()
            raise

    def _discard(self) -> None:
        cluster, self._cluster = self._cluster, None
        if cluster is not None:
            cluster.close()

    def _why_lost(self, error: BaseException | None) -> JobError | None:
        cluster = self._cluster
        if cluster is None or cluster.worker is None:
            return JobError("The worker was stopped while the job ran.", hint="Run the job again.")
        if error is not None:
            cluster.worker.output.wait(1.0)  # what broke the connection may be a worker that is just ending
        code = cluster.worker.exit_code()
        if code is not None:
            cluster.worker.output.wait(1.0)
            what, hint = describe_exit(code)
            return JobError(
                f"The worker stopped in the middle of the job. {what}.",
                details=cluster.worker.output.tail(),
                hint=f"{hint} The next job starts a new worker.",
            )
        if not cluster.alive():
            return JobError(
                "The connection to the worker was lost in the middle of the job.",
                details=cluster.scheduler.output.tail() if cluster.scheduler is not None else "",
                hint="Run the job again; it starts a new worker.",
            )
        return None

    def _recover(self) -> None:
        self.warm_up()

    def _stop_hard(self, client: Client, worker: str | None) -> None:
        with self._cluster_lock:
            if self._cluster is not None and not self._closing.is_set():
                self._cluster.restart_worker()

    def _targets(self) -> list[str] | None:
        return [self._cluster.worker_address] if self._cluster is not None else None

    def _leave(self) -> None:
        with self._cluster_lock:
            self._discard()
