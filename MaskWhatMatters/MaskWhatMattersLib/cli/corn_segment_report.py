"""What `whatmatters corn segment` leaves in the output folder: label maps and report.csv."""

from __future__ import annotations

import csv
import io
import json
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from MaskWhatMattersLib.cli.result_files import ResultFolder, write_nifti
from MaskWhatMattersLib.cli.table_files import check_table_place, write_table
from MaskWhatMattersLib.volumes import base_name

if TYPE_CHECKING:
    from MaskWhatMattersLib.cli.inputs import Scan
    from MaskWhatMattersLib.corn.predict import AtriumSegmentation

REPORT = "report.csv"
COLUMNS = ("input", "volume_ml", "agreement", "boundary_entropy", "review", "seconds", "model")
_SAVE_EVERY_S = 20.0


class SegmentResults:
    """Writes the files of each scan as it is done, and the table from time to time and at the end.

    Rows of earlier runs stay in the table as long as their results do.

    Args:
        output: Folder of the results; exists.
        keep: Further maps to write: "disagreement", "probability".

    Raises:
        InputError: A file called report.csv is there that is no such table.
    """

    def __init__(self, output: Path, keep: Sequence[str] = ()) -> None:
        self.output = output
        self.entries: list[dict[str, Any]] = []
        self._keep = keep
        self._saved = time.monotonic()
        check_table_place(output / REPORT, (), [",".join(COLUMNS)])  # before hours of work
        self._earlier = _read_rows(output / REPORT)

    @property
    def failed(self) -> list[str]:
        """Inputs that could not be processed."""
        return [entry["input"] for entry in self.entries if entry["error"]]

    def add(self, scan: Scan, result: AtriumSegmentation) -> None:
        """Write the label map of one scan, and the maps to keep, all or none.

        Raises:
            InputError: A file is in the way that is not ours, or the disk is full.
            OSError: The disk is full or went away.
        """
        note = f"not for clinical use; {result.model}"
        maps = {"label_map": result.label_map} | {kind: getattr(result, kind) for kind in self._keep}
        names = {kind: scan.name + ("" if kind == "label_map" else f"_{kind}") + ".nii.gz" for kind in maps}
        replaced = (self.output / scan.folder / names["label_map"]).exists()
        with ResultFolder(self.output / scan.folder) as folder:
            for kind, volume in maps.items():
                what = "left atrium" if kind == "label_map" else f"left atrium {kind}"
                write_nifti(volume, folder.stage(names[kind]), f"{what}; {note}")
            folder.commit()
        if replaced:
            self._forget(scan)
        self.entries.append(
            {
                "input": str(scan.path),
                "volume_ml": round(result.volume_ml, 3),
                "agreement": _rounded(result.agreement),
                "boundary_entropy": _rounded(result.boundary_entropy),
                "review": result.review,
                "seconds": round(result.seconds, 2),
                "model": result.model,
                "review_reasons": list(result.review_reasons),
                "field_of_view": result.field_of_view,
                **{kind: (scan.folder / name).as_posix() for kind, name in names.items()},
                "error": None,
            }
        )
        if time.monotonic() - self._saved > _SAVE_EVERY_S:
            self._write()

    def add_failure(self, scan: Scan, text: str) -> None:
        """Note that a scan could not be processed; its numbers stay empty."""
        numbers = dict.fromkeys(COLUMNS[1:])
        self.entries.append({"input": str(scan.path), **numbers, "error": text})

    def close(self) -> None:
        """Write the table, as far as the run got."""
        if self.entries:
            self._write()

    def as_json(self) -> str:
        """The entries of this run; what is not a number is null."""
        return json.dumps(self.entries, indent=2) + "\n"

    def summary(self) -> str:
        """One line for the end of the run."""
        review = sum(bool(entry["review"]) for entry in self.entries)
        parts = [f"{len(self.entries) - len(self.failed)} done"]
        parts += [f"{review} to review"] if review else []
        parts += [f"{len(self.failed)} failed"] if self.failed else []
        return f"{', '.join(parts)}. See {REPORT} in {self.output}. Not for clinical use."

    def _forget(self, scan: Scan) -> None:
        """Drop the earlier row of another scan of this name, whose label map has just been replaced."""
        if all(row["input"] != str(scan.path) for row in self._earlier):
            name = base_name(scan.path).casefold()
            self._earlier = [row for row in self._earlier if base_name(row["input"]).casefold() != name]

    def _write(self) -> None:
        mine = {entry["input"] for entry in self.entries}
        kept = [row for row in self._earlier if row["input"] not in mine]
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS, lineterminator="\n", extrasaction="ignore")
        writer.writeheader()
        writer.writerows([*(_row(entry) for entry in self.entries), *kept])
        write_table(text.getvalue(), self.output / REPORT)
        self._saved = time.monotonic()


def _row(entry: dict[str, Any]) -> dict[str, Any]:
    review = "failed" if entry["error"] else "yes" if entry["review"] else "no"
    return {**entry, "review": review}


def _rounded(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 4)


def _read_rows(path: Path) -> list[dict[str, str]]:
    """Rows of an earlier table, without those that failed."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        rows = [row for row in csv.DictReader(file) if None not in row and None not in row.values()]
    return [row for row in rows if row["review"] != "failed"]
