"""Write a table so that it appears whole, and replaces nothing but an earlier table of the same kind."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from MaskWhatMattersLib.errors import InputError, JobError


def check_table_place(path: Path, inputs: Sequence[Path], headers: Sequence[str]) -> None:
    """See, before any work, that the table may be written there; makes the folder.

    Args:
        path: Of the table; ends in .csv.
        inputs: Folders whose files are read and must stay as they are.
        headers: First lines by which an earlier table is known.

    Raises:
        InputError: Another ending, inside an input folder, something else is there, or the folder cannot be written to.
    """
    if path.suffix.lower() != ".csv":
        raise InputError(f"The table is written as CSV; found {path}. Use a name that ends in .csv.")
    for folder in inputs:
        if folder.resolve() in path.resolve().parents:
            raise InputError(f"{path} lies inside the input folder {folder}. Choose a place outside of it.")
    if (path.exists() or path.is_symlink()) and not _is_table(path, headers):
        raise InputError(
            f"{path} exists and is no table that this command wrote. Move it away, or choose another name."
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".whatmatters-", dir=path.parent):
            pass
    except OSError as error:
        raise InputError(
            f"The folder {path.parent} cannot be written to: {error.strerror or error}. "
            "Choose a folder that you may write to, on a disk with free space."
        ) from error


def write_table(text: str, path: Path) -> None:
    """Write the file aside, then move it into place.

    Raises:
        JobError: The disk is full or went away.
    """
    try:
        with tempfile.TemporaryDirectory(prefix=".whatmatters-", dir=path.parent) as aside:
            written = Path(aside) / path.name
            with written.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.replace(written, path)
    except OSError as error:
        raise JobError(
            f"{path} could not be written: {error.strerror or error}.",
            hint="Free some space or choose another folder, then run again.",
        ) from error


def _is_table(path: Path, headers: Sequence[str]) -> bool:
    """Whether the first line of a regular file is one of the headers; a link is never one."""
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as file:
        first = file.readline(max(map(len, headers)) + 2)
    return first.rstrip(b"\r\n").decode("utf-8", "replace") in headers
