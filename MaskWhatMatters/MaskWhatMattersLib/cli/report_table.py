"""The table that a batch leaves beside its results; it grows while the batch goes on."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from MaskWhatMattersLib.cli.table_files import check_table_place, write_table
from MaskWhatMattersLib.volumes import base_name

REPORT = "report.csv"
_SAVE_EVERY_S = 20.0


class ReportTable:
    """Rows of this run, then those of earlier runs, which stay as long as their results do.

    Args:
        folder: Of the results; exists.
        columns: Of the table; "input" is one of them.
        is_kept: Whether a row of an earlier run is worth keeping; one that failed is not.

    Raises:
        InputError: A file called report.csv is there that is no such table.
    """

    def __init__(self, folder: Path, columns: Sequence[str], is_kept: Callable[[Mapping[str, str]], bool]) -> None:
        self._path, self._columns = folder / REPORT, columns
        self._saved = time.monotonic()
        check_table_place(self._path, (), [",".join(columns)])  # before hours of work
        self._earlier = [row for row in _read_rows(self._path) if is_kept(row)]

    def forget(self, path: Path) -> None:
        """Drop earlier rows of another scan of this name, whose label map has just been replaced."""
        if all(row["input"] != str(path) for row in self._earlier):
            name = base_name(path).casefold()
            self._earlier = [row for row in self._earlier if base_name(row["input"]).casefold() != name]

    def is_due(self) -> bool:
        """Whether so much time has passed that the rows should be saved."""
        return time.monotonic() - self._saved > _SAVE_EVERY_S

    def write(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write all rows of this run, and the earlier ones of other inputs.

        Raises:
            JobError: The disk is full or went away.
        """
        mine = list(rows)
        inputs = {row["input"] for row in mine}
        text = io.StringIO()
        writer = csv.DictWriter(text, self._columns, lineterminator="\n", extrasaction="ignore")
        writer.writeheader()
        writer.writerows([*mine, *(row for row in self._earlier if row["input"] not in inputs)])
        write_table(text.getvalue(), self._path)
        self._saved = time.monotonic()


def _read_rows(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        return [row for row in csv.DictReader(file) if None not in row and None not in row.values()]
