"""Start processes, keep their last words, and end them with everything they started."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any


@dataclass(frozen=True)
class ProcessIdentity:
    """One process for good: a later one with the same number was created at another time.

    Attributes:
        pid: Process number.
        created: When it was created, s since the epoch.
        group: Number of its process group; 0 where there are none (Windows).
    """

    pid: int
    created: float
    group: int

    @classmethod
    def of(cls, pid: int) -> ProcessIdentity:
        """The identity of a process that runs now."""
        import psutil  # type: ignore[import-untyped]

        group = os.getpgid(pid) if hasattr(os, "getpgid") else 0
        return cls(pid, float(psutil.Process(pid).create_time()), group)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for a file."""
        return asdict(self)

    def is_running(self) -> bool:
        """Whether this very process still runs."""
        process = _find(self.pid, self.created)
        return process is not None and _is_alive(process)

    def kill_family(self, timeout_s: float = 5.0) -> None:
        """Kill the process and all that it started, and wait until they are gone.

        PythonSlicer is a launcher whose child is the interpreter, and a job may start processes of its own: killing the
        first alone would leave the others. Where the first has died before, its children are found by their group.
        """
        process = _find(self.pid, self.created)
        family = [process, *_descendants(process)] if process is not None else []
        family += [member for member in self._group_members() if member not in family]
        for member in family:
            _kill(member)
        deadline = time.monotonic() + timeout_s
        while any(map(_is_alive, family)) and time.monotonic() < deadline:
            time.sleep(0.01)

    def _group_members(self) -> list[Any]:
        import psutil

        # A number is not given to a new process while a group still bears it: if the leader's number belongs to
        # another process now, nobody of our group is left.
        if self.group != self.pid or (psutil.pid_exists(self.pid) and _find(self.pid, self.created) is None):
            return []
        return [process for process in psutil.process_iter() if _group_of(process.pid) == self.group]


def kill_descendants(pid: int) -> None:
    """Kill all that a process has started, but not the process."""
    import psutil

    with suppress(psutil.Error):
        for child in _descendants(psutil.Process(pid)):
            _kill(child)


class OutputLog:
    """The last bytes that a process printed, as text whatever their encoding."""

    def __init__(self, stream: IO[bytes], max_bytes: int = 65_536) -> None:
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._read, args=(stream,), name="worker output", daemon=True)
        self._thread.start()

    def tail(self, lines: int = 40) -> str:
        """The last lines printed since `clear`; invalid UTF-8 shows as replacement characters."""
        with self._lock:
            content = b"".join(self._chunks)
        return "\n".join(content.decode("utf-8", errors="replace").splitlines()[-lines:])

    def clear(self) -> None:
        """Forget what was printed so far."""
        with self._lock:
            self._chunks.clear()
            self._size = 0

    def wait(self, timeout_s: float) -> None:
        """Wait until the process has closed its output, so that its last words are here."""
        self._thread.join(timeout_s)

    def _read(self, stream: IO[bytes]) -> None:
        with stream:
            while chunk := os.read(stream.fileno(), 8192):
                with self._lock:
                    self._chunks.append(chunk)
                    self._size += len(chunk)
                    while self._size > self._max_bytes and len(self._chunks) > 1:
                        self._size -= len(self._chunks.popleft())


class ChildProcess:
    """A process of ours with captured output, in a session of its own so that Ctrl+C here does not reach it.

    Args:
        command: Program and arguments.
        environment: All its variables.
        folder: Where it starts: `python -m` puts that on sys.path, so it must hold no stray modules.

    Raises:
        OSError: The program cannot be started.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], folder: Path) -> None:
        self._process = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            cwd=folder,
            start_new_session=True,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        assert self._process.stdout is not None
        self.output = OutputLog(self._process.stdout)
        self.identity = ProcessIdentity.of(self._process.pid)

    def exit_code(self) -> int | None:
        """The exit code; None while it runs."""
        return self._process.poll()

    def kill(self) -> None:
        """Kill it and all that it started, at once."""
        self.identity.kill_family()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(5.0)


def _find(pid: int, created: float) -> Any:
    import psutil

    try:
        process = psutil.Process(pid)
        return process if abs(process.create_time() - created) < 1.0 else None
    except psutil.Error:
        return None


def _descendants(process: Any) -> list[Any]:
    import psutil

    try:
        return list(process.children(recursive=True))
    except psutil.Error:
        return []


def _kill(process: Any) -> None:
    import psutil

    with suppress(psutil.Error):
        process.kill()


def _is_alive(process: Any) -> bool:
    """Whether a process still does anything; one that only waits to be collected by its parent does not."""
    import psutil

    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def _group_of(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except OSError:
        return 0
