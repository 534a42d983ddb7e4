"""What is noted beside a paused training, to go on with it: where it was computed, and under which secret."""

from __future__ import annotations

import contextlib
import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from uuid import uuid4

NOTE = "paused.json"
SCAN = "scan"


@dataclass(frozen=True)
class RunOrigin:
    """Where a run is computed, and what its names are made of.

    Attributes:
        scheduler: Address; empty for this computer.
        secret: Never leaves this computer. Folders and scans elsewhere have names that it makes, which stay the same
            when the run goes on, so that the images can be compared.
    """

    scheduler: str = ""
    secret: str = ""

    @classmethod
    def new(cls, scheduler: str) -> RunOrigin:
        """Of a run that begins."""
        return cls(scheduler, uuid4().hex)

    @property
    def folder(self) -> str:
        """Name of a folder that no other run has."""
        return self._digest("folder")

    def pseudonym(self, name: str) -> str:
        """What a scan is called elsewhere; nobody without the secret can tell the name."""
        return f"{SCAN}-{self._digest(name)}"

    def _digest(self, text: str) -> str:
        key = self.secret.encode()
        return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), key=key, digest_size=6).hexdigest()


def note_pause(folder: Path, origin: RunOrigin) -> None:
    """Keep the origin in the folder of the model; where that cannot be written, the run cannot be gone on with."""
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / NOTE).write_text(json.dumps(asdict(origin)) + "\n", encoding="utf-8")


def forget_pause(folder: Path) -> None:
    """The run is over."""
    (folder / NOTE).unlink(missing_ok=True)


def paused_origin(folder: Path) -> RunOrigin | None:
    """The origin of the paused run in a folder; None where none was noted."""
    try:
        values = json.loads((folder / NOTE).read_text(encoding="utf-8"))
        return RunOrigin(str(values["scheduler"]), str(values["secret"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
