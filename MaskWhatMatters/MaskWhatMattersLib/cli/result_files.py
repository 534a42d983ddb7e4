"""Write results so that no half-written file is ever seen and no foreign file is ever replaced.

Each result says in its own header that it is one: NIfTI in the description field, PNG in a text field. Only such files
are replaced by a later run.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import shutil
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from MaskWhatMattersLib.errors import InputError

if TYPE_CHECKING:
    from MaskWhatMattersLib.volumes import Volume

SIGNATURE = "whatmatters"
_DESCRIPTION = {348: (148, 80), 540: (240, 80)}  # header size of NIfTI-1 and NIfTI-2 -> place of the description
_REPORT_KEYS = {"input", "prompt", "verdict", "localizer"}
_PROPOSAL_KEYS = {"input", "method", "proposals"}  # of the report of `mass proposals`


class ResultFolder:
    """Collects the files of one step in a scratch folder beside their targets, then moves all of them into place.

    Use it in a `with` statement; without `commit` nothing is left behind.

    Args:
        folder: Where the files will be; made when missing.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._moves: list[tuple[Path, Path]] = []

    def __enter__(self) -> ResultFolder:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._scratch = Path(tempfile.mkdtemp(prefix=".whatmatters-", dir=self.folder))
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._scratch, ignore_errors=True)

    def stage(self, name: str) -> Path:
        """Where to write a file that will be called `name`.

        Raises:
            InputError: A file of that name exists that is no result of ours.
        """
        target = self.folder / name
        if (target.exists() or target.is_symlink()) and not is_result(target):
            raise InputError(
                f"{target} exists and was not written by whatmatters. Move it away, or choose another output folder."
            )
        self._moves.append((self._scratch / name, target))
        return self._scratch / name

    def commit(self) -> list[Path]:
        """Move every staged file into place; each appears whole or not at all."""
        for source, target in self._moves:
            os.replace(source, target)
        return [target for _, target in self._moves]


def write_nifti(volume: Volume, path: Path, note: str) -> None:
    """Write a compressed NIfTI file whose header says that it is a result.

    Args:
        volume: Any grid that NIfTI can hold.
        path: Ends in .nii.gz.
        note: What it is; cut to what the header's 80 bytes hold.
    """
    from MaskWhatMattersLib.volumes import write_volume

    plain = path.with_name(path.name.removesuffix(".gz"))
    write_volume(volume, plain)
    with plain.open("r+b") as file:
        offset, length = _DESCRIPTION[struct.unpack("<i", file.read(4))[0]]
        file.seek(offset)
        text = f"{SIGNATURE}: {note}".encode("ascii", "replace")[: length - 1]
        file.write(text.ljust(length, b"\0"))
    # mtime=0: the same result gives the same bytes. Relevance maps are mostly zeros, so the fastest level does.
    with plain.open("rb") as source, path.open("wb") as target:
        with gzip.GzipFile("", "wb", compresslevel=1, fileobj=target, mtime=0) as packed:
            shutil.copyfileobj(source, packed, 1 << 20)
        target.flush()
        os.fsync(target.fileno())
    plain.unlink()


def write_json(entries: list[dict[str, Any]], path: Path) -> None:
    """Write a report; characters stay readable unless a file name holds bytes that are no text."""
    try:
        content = json.dumps(entries, indent=2, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        content = json.dumps(entries, indent=2).encode("ascii")
    path.write_bytes(content + b"\n")


def read_report(path: Path) -> list[dict[str, Any]] | None:
    """The entries of an earlier report; None when there is none, or the file is something else."""
    return _entries(path, _REPORT_KEYS)


def is_result(path: Path) -> bool:
    """Whether a file says that this command wrote it; a link never does."""
    if path.is_symlink() or not path.is_file():
        return False
    if path.name.endswith(".nii.gz"):
        return _description(path).startswith(SIGNATURE)
    if path.suffix == ".png":
        return any(key == b"Software" and SIGNATURE.encode() in text for key, text in _png_texts(path))
    if path.name.endswith(".proposals.npz"):
        return _holds_proposals(path)
    return path.suffix == ".json" and (read_report(path) or _entries(path, _PROPOSAL_KEYS)) is not None


def _entries(path: Path, keys: set[str]) -> list[dict[str, Any]] | None:
    """The entries of a report, each of which has these keys; None for any other file."""
    with contextlib.suppress(OSError, ValueError):
        entries = json.loads(path.read_bytes())
        if isinstance(entries, list) and all(isinstance(entry, dict) and entry.keys() >= keys for entry in entries):
            return entries
    return None


def _holds_proposals(path: Path) -> bool:
    with contextlib.suppress(OSError, zipfile.BadZipFile), zipfile.ZipFile(path) as packed:
        return {"format.npy", "level.npy", "labels_0.npy"} <= set(packed.namelist())
    return False


def _description(path: Path) -> str:
    with contextlib.suppress(OSError, EOFError, zlib.error, struct.error), gzip.open(path, "rb") as file:
        header = file.read(540)
        offset, length = _DESCRIPTION.get(struct.unpack("<i", header[:4])[0], (0, 0))
        return header[offset : offset + length].decode("ascii", "replace")
    return ""


def _png_texts(path: Path) -> Iterator[tuple[bytes, bytes]]:
    """Keyword and text of every text field of a PNG file."""
    with contextlib.suppress(OSError, struct.error), path.open("rb") as file:
        if file.read(8) != b"\x89PNG\r\n\x1a\n":
            return
        while True:
            length, kind = struct.unpack(">I4s", file.read(8))
            if kind == b"IDAT":  # we write our text before the pixels
                return
            content = file.read(length)
            file.seek(4, os.SEEK_CUR)
            if kind == b"tEXt":
                key, _, text = content.partition(b"\0")
                yield key, text
