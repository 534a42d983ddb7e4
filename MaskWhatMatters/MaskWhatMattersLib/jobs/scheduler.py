"""Run jobs on any Dask scheduler: a GPU server, a cluster under SSH, SLURM or Kubernetes."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from MaskWhatMattersLib.errors import JobError
from MaskWhatMattersLib.jobs.addresses import parse_address, require_consent, require_tls_files
from MaskWhatMattersLib.jobs.dask_access import Client, open_client, tls_security
from MaskWhatMattersLib.jobs.dask_runner import DaskRunner, check_versions
from MaskWhatMattersLib.jobs.events import Event
from MaskWhatMattersLib.jobs.job import Job


class SchedulerRunner(DaskRunner):
    """Runs jobs on a Dask cluster that somebody else has started; it needs this library on scheduler and workers.

    Args:
        address: Of the scheduler, "tls://host:port" or "tcp://host:port".
        tls_ca: Certificate authority file (PEM); with tls:// all three files are needed.
        tls_cert: This client's certificate file (PEM).
        tls_key: This client's key file (PEM).
        consent_to_send_pixels: Somebody agreed that image data may leave this computer.
        parallel: How many jobs may be under way at once.
        cancel_timeout_s: A cancelled job that has not stopped after this time is given up, s. Its worker is restarted
            where that harms nobody else: a worker of one thread that a Dask nanny watches.
        connect_timeout_s: Longest wait for an answer of the scheduler, s.

    Raises:
        InputError: Address or files cannot be used.
        ConsentRequiredError: The scheduler is another computer and nobody agreed.
    """

    def __init__(
        self,
        address: str,
        *,
        tls_ca: Path | str | None = None,
        tls_cert: Path | str | None = None,
        tls_key: Path | str | None = None,
        consent_to_send_pixels: bool = False,
        parallel: int = 4,
        cancel_timeout_s: float = 10.0,
        connect_timeout_s: float = 10.0,
    ) -> None:
        self.address = parse_address(address)
        self._files = require_tls_files(self.address, {"CA": tls_ca, "certificate": tls_cert, "key": tls_key})
        require_consent(self.address, consent_to_send_pixels)
        super().__init__(parallel=parallel, cancel_timeout_s=cancel_timeout_s)
        self._connect_timeout_s = connect_timeout_s
        self._client: Client | None = None
        self._client_lock = threading.Lock()

    def _connect(self, job: Job) -> Client:
        with self._client_lock:
            if self._closing.is_set():
                raise JobError("The runner was closed before the job could start.")
            if self._client is not None and self._client.status != "running":
                self._disconnect()
            if self._client is None:
                job.report(Event("stage", stage=f"Connecting to {self.address}"))
                self._client = self._open()
            return self._client

    def _open(self) -> Client:
        try:
            client = open_client(str(self.address), self._security(), self._connect_timeout_s)
        except Exception as error:
            raise JobError(
                f"No Dask scheduler answers at {self.address} within {self._connect_timeout_s:g} s.",
                details=f"{type(error).__name__}: {error}",
                hint="Check host, port and scheme (tls or tcp), that the scheduler runs, that its TLS files match "
                "yours, and that no firewall stands between.",
            ) from error
        try:
            self._require_workers(client)
            check_versions(client)
            self._listen(client)
        except BaseException:
            client.close(timeout=2)
            raise
        return client

    def _require_workers(self, client: Client) -> None:
        try:
            client.wait_for_workers(1, timeout=self._connect_timeout_s)
        except TimeoutError as error:
            raise JobError(
                f"The scheduler at {self.address} has no worker.",
                hint=f'Start one where the images may be computed: "dask worker {self.address}".',
            ) from error

    def _security(self) -> Any:
        return tls_security(*self._files) if self._files else None

    def _why_lost(self, error: BaseException | None) -> JobError | None:
        client = self._client
        if client is None or client.status not in ("running", "connecting"):
            return JobError(
                f"The connection to the scheduler at {self.address} was lost in the middle of the job.",
                hint="Check the network and that the scheduler still runs, then run the job again.",
            )
        if error is None:
            return None
        from distributed import CancelledError
        from distributed.scheduler import KilledWorker

        if isinstance(error, (KilledWorker, CancelledError)):
            return JobError(
                "The remote worker was lost in the middle of the job.",
                details=f"{type(error).__name__}: {error}",
                hint="It may have run out of memory: look at the worker's own log, then run the job again.",
            )
        return None

    def _stop_hard(self, client: Client, worker: str | None) -> None:
        if worker is None:
            return
        info = client.scheduler_info(n_workers=-1)["workers"].get(worker, {})
        if info.get("nthreads") == 1 and info.get("nanny"):
            client.restart_workers([worker], timeout=self._connect_timeout_s, raise_for_error=False)

    def _recover(self) -> None:
        """Nothing to do: the next job connects anew, and the workers are in the care of whoever started them."""

    def _disconnect(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close(timeout=2)

    def _leave(self) -> None:
        with self._client_lock:
            self._disconnect()
