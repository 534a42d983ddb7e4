"""A real Dask scheduler with a worker on this computer, as a GPU server would offer them."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from MaskWhatMattersLib.jobs.processes import ChildProcess


@contextmanager
def dask_cluster(
    folder: Path,
    environment: dict[str, str],
    *,
    scheme: str = "tcp",
    options: tuple[str, ...] = (),
    worker: bool = True,
) -> Iterator[str]:
    """A scheduler and one worker with a nanny, started with Dask's own command line."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"{scheme}://127.0.0.1:{port}"
    dask = [sys.executable, "-m", "dask"]
    environment = environment | {"DASK_LOGGING__DISTRIBUTED": "error"}
    host = ("--host", f"{scheme}://127.0.0.1")
    commands = [
        [*dask, "scheduler", *host, "--port", str(port), "--no-dashboard", "--dashboard-address", ":0", *options]
    ]
    if worker:
        commands.append(
            [*dask, "worker", address, *host, "--nworkers", "1", "--nthreads", "1", "--no-dashboard", *options]
        )
    processes = [ChildProcess(command, environment, folder) for command in commands]
    try:
        yield address
    finally:
        for process in reversed(processes):
            process.kill()
