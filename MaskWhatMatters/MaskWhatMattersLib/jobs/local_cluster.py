"""One private Dask scheduler and one worker process on this computer."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import MaskWhatMattersLib
from MaskWhatMattersLib.errors import JobError
from MaskWhatMattersLib.jobs.credentials import CERTIFICATE_FILE, KEY_FILE, write_credentials
from MaskWhatMattersLib.jobs.dask_access import Client, open_client, tls_security
from MaskWhatMattersLib.jobs.processes import ChildProcess, ProcessIdentity
from MaskWhatMattersLib.jobs.serve import READY_SUFFIX


class LocalCluster:
    """Starts the two processes, connects to them over TLS on loopback, restarts the worker, removes everything.

    Not safe to be used from several threads at once; its runner holds a lock.

    Args:
        interpreter: Python to run; in Slicer, PythonSlicer.
        environment: Variables added to those of this process; PYTHONPATH is added in front.
        start_timeout_s: Longest time until scheduler and worker answer, s.
        give_up: Set when starting shall be abandoned.
    """

    def __init__(
        self, interpreter: str, environment: Mapping[str, str], start_timeout_s: float, give_up: threading.Event
    ) -> None:
        self._command = [interpreter, "-m", "MaskWhatMattersLib.jobs.serve"]
        self._environment = _worker_environment(environment)
        self._start_timeout_s = start_timeout_s
        self._give_up = give_up
        self._worker_count = 0
        self.folder = Path(tempfile.mkdtemp(prefix="maskwhatmatters-"))
        self.scheduler: ChildProcess | None = None
        self.worker: ChildProcess | None = None
        self.worker_address = ""
        self.worker_pid = 0
        self.client: Client | None = None

    def start(self) -> Client:
        """Start both processes and connect.

        Raises:
            JobError: They cannot be started; the details hold what they printed.
        """
        write_credentials(self.folder)
        (self.folder / "temporary").mkdir()
        self.scheduler = self._spawn("scheduler", "scheduler")
        worker_name = self._spawn_worker()

        import distributed  # noqa: F401  (takes a third of a second; the processes start meanwhile)

        ready = self._wait_ready("scheduler", self.scheduler)
        self.client = open_client(ready["address"], self.security(), self._start_timeout_s, direct=True)
        self._adopt_worker(worker_name)
        return self.client

    def restart_worker(self) -> None:
        """Kill the worker with all its children, and start another one.

        Raises:
            JobError: It cannot be started.
        """
        self.kill_worker()
        self._adopt_worker(self._spawn_worker())

    def kill_worker(self) -> None:
        """Kill the worker with all its children."""
        if self.worker is not None:
            self.worker.kill()

    def alive(self) -> bool:
        """Whether the scheduler and the connection to it are in order."""
        return (
            self.client is not None
            and self.client.status == "running"
            and self.scheduler is not None
            and self.scheduler.exit_code() is None
        )

    def close(self) -> None:
        """End the connection and both processes, remove the folder. Nothing in them needs a slow, polite end."""
        if self.client is not None:
            with suppress(Exception):  # whatever the connection says, the processes must end
                self.client.close(timeout=2)
        for process in (self.worker, self.scheduler):
            if process is not None:
                process.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def security(self) -> Any:
        """The TLS settings of a client of this cluster."""
        certificate = self.folder / CERTIFICATE_FILE
        return tls_security(certificate, certificate, self.folder / KEY_FILE)

    def _spawn_worker(self) -> str:
        self._worker_count += 1
        name = f"worker-{self._worker_count}"
        self.worker = self._spawn("worker", name)
        return name

    def _adopt_worker(self, name: str) -> None:
        assert self.worker is not None
        ready = self._wait_ready(name, self.worker)
        self.worker_address, self.worker_pid = ready["address"], ready["pid"]

    def _spawn(self, role: str, name: str) -> ChildProcess:
        parent = ProcessIdentity.of(os.getpid())
        command = [
            *self._command,
            role,
            *("--folder", str(self.folder)),
            *("--name", name),
            *("--parent", str(parent.pid)),
            *("--parent-created", repr(parent.created)),
        ]
        environment = self._environment | dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(self.folder / "temporary"))
        try:
            return ChildProcess(command, environment, self.folder)
        except OSError as error:
            raise JobError(
                f"The worker could not be started. {self._command[0]}: {error.strerror or error}.",
                hint="Choose a Python interpreter that exists and may be executed.",
            ) from error

    def _wait_ready(self, name: str, process: ChildProcess) -> dict[str, Any]:
        file = self.folder / f"{name}{READY_SUFFIX}"
        deadline = time.monotonic() + self._start_timeout_s
        while not file.exists():
            if self._give_up.wait(0.02):
                raise JobError("The runner was closed while its worker started.")
            if process.exit_code() is not None or time.monotonic() > deadline:
                process.kill()
                process.output.wait(1.0)
                code = process.exit_code()
                raise JobError(
                    f"The worker could not be started: {name} ended with exit code {code} before it was ready.",
                    details=process.output.tail(),
                    hint="The details say why. Check setup lists what must be installed for this interpreter: "
                    f"{self._command[0]}.",
                )
        values: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return values


def default_interpreter() -> str:
    """The Python that runs this; inside Slicer that is PythonSlicer."""
    return sys.executable


def _worker_environment(extra: Mapping[str, str]) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("DASK_")}
    library = str(Path(MaskWhatMattersLib.__file__).resolve().parent.parent)
    paths = [library, extra.get("PYTHONPATH", ""), inherited.get("PYTHONPATH", "")]
    return {
        **inherited,
        "PYTHONUTF8": "1",
        "PYTHONUNBUFFERED": "1",
        "PYTHONFAULTHANDLER": "1",
        **extra,
        "PYTHONPATH": os.pathsep.join(path for path in paths if path),
    }
