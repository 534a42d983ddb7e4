"""Command line of the two processes behind `LocalWorkerRunner`: a Dask scheduler and one Dask worker.

Started as `python -m MaskWhatMattersLib.jobs.serve {scheduler,worker} ...`. Both watch the process that started them
and end with it, however it ends: then the scheduler, which never runs user code, kills a worker that is stuck in
native code, and the private folder with its keys is removed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import threading
import time
from pathlib import Path
from typing import Any

from MaskWhatMattersLib.jobs.credentials import CERTIFICATE_FILE, KEY_FILE
from MaskWhatMattersLib.jobs.dask_access import tls_security
from MaskWhatMattersLib.jobs.processes import ProcessIdentity, kill_descendants

READY_SUFFIX = ".ready.json"
_PID_SUFFIX = ".pid.json"

_DASK_SETTINGS = {
    "logging": {"distributed": "warning"},
    "distributed.scheduler.allowed-failures": 0,  # a job that killed its worker shall not kill the next one
    "distributed.scheduler.worker-ttl": None,  # a laptop that slept, or a job in native code, is no dead worker
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
    "distributed.scheduler.work-stealing": False,
    "distributed.worker.profile.enabled": False,
    "distributed.admin.system-monitor.interval": "10s",
    "distributed.admin.tick.interval": "500ms",
    "distributed.admin.tick.limit": "10m",
    "distributed.admin.low-level-log-length": 100,  # also the number of events that a topic keeps
}


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Write a small file that never appears half-written."""
    aside = path.with_suffix(".part")
    aside.write_text(json.dumps(values), encoding="utf-8")
    aside.replace(path)


def end_with_parent(folder: Path, parent: ProcessIdentity, *, poll_s: float = 0.5, guard: bool = False) -> None:
    """Wait for the end of the parent process; the caller ends itself afterwards.

    Args:
        folder: The private folder of the runner.
        parent: The process that started this one.
        poll_s: Time between two looks, s.
        guard: Then kill the workers whose numbers lie in the folder, and remove the folder.
    """
    while parent.is_running():
        time.sleep(poll_s)
    if not guard:
        return
    for file in folder.glob(f"worker*{_PID_SUFFIX}"):
        ProcessIdentity(**json.loads(file.read_text(encoding="utf-8"))).kill_family()
    shutil.rmtree(folder, ignore_errors=True)


def _watch(arguments: argparse.Namespace) -> None:
    parent = ProcessIdentity(arguments.parent, arguments.parent_created, group=0)
    end_with_parent(arguments.folder, parent, guard=arguments.role == "scheduler")
    kill_descendants(os.getpid())
    os._exit(0)


async def _serve_scheduler(arguments: argparse.Namespace) -> None:
    from distributed import Scheduler

    class QuietScheduler(Scheduler):
        def start_http_server(self, *_args: Any, **_kwargs: Any) -> None:
            """Open no second port: there is no dashboard to show."""

    async with QuietScheduler(
        protocol="tls", host="127.0.0.1", port=0, dashboard=False, security=_security(arguments.folder)
    ) as server:
        _tell_ready(arguments, server.address)
        await server.finished()


async def _serve_worker(arguments: argparse.Namespace) -> None:
    from distributed import Worker

    class QuietWorker(Worker):
        def start_http_server(self, *_args: Any, **_kwargs: Any) -> None:
            """Open no second port: there is no dashboard to show."""

    scheduler_file = arguments.folder / f"{arguments.scheduler}{READY_SUFFIX}"
    while not scheduler_file.exists():  # both processes start at once, to be ready sooner
        await asyncio.sleep(0.02)
    address = json.loads(scheduler_file.read_text(encoding="utf-8"))["address"]
    async with QuietWorker(
        address,
        name=arguments.name,
        protocol="tls",
        host="127.0.0.1",
        nthreads=1,
        memory_limit=0,  # images are large on purpose; the operating system's own limit counts
        local_directory=str(arguments.folder / "scratch"),
        security=_security(arguments.folder),
    ) as server:
        _tell_ready(arguments, server.address)
        await server.finished()


def _security(folder: Path) -> Any:
    return tls_security(folder / CERTIFICATE_FILE, folder / CERTIFICATE_FILE, folder / KEY_FILE)


def _tell_ready(arguments: argparse.Namespace, address: str) -> None:
    write_json(arguments.folder / f"{arguments.name}{READY_SUFFIX}", {"address": address, "pid": os.getpid()})


def main(argv: list[str] | None = None) -> None:
    """Serve until told to stop, or until the parent is gone."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("role", choices=["scheduler", "worker"])
    parser.add_argument("--folder", type=Path, required=True, help="private folder with the credentials")
    parser.add_argument("--name", required=True, help="name of this process in the folder")
    parser.add_argument("--scheduler", default="scheduler", help="name of the scheduler in the folder")
    parser.add_argument("--parent", type=int, required=True, help="process with which this one ends")
    parser.add_argument("--parent-created", type=float, required=True, help="when the parent was created")
    arguments = parser.parse_args(argv)

    write_json(arguments.folder / f"{arguments.name}{_PID_SUFFIX}", ProcessIdentity.of(os.getpid()).to_dict())
    threading.Thread(target=_watch, args=(arguments,), name="parent watch", daemon=True).start()

    import dask

    dask.config.set(_DASK_SETTINGS)
    import distributed  # noqa: F401  (configures logging from the settings above)

    asyncio.run(_serve_scheduler(arguments) if arguments.role == "scheduler" else _serve_worker(arguments))


if __name__ == "__main__":
    main()
