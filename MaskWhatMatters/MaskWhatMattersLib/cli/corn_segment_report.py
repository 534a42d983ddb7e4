"""What `whatmatters corn segment` leaves in the output folder: label maps and report.csv."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from MaskWhatMattersLib.cli.report_table import REPORT, ReportTable
from MaskWhatMattersLib.cli.result_files import ResultFolder, write_nifti

if TYPE_CHECKING:
    from MaskWhatMattersLib.cli.inputs import Scan
    from MaskWhatMattersLib.corn.predict import AtriumSegmentation

COLUMNS = ("input", "volume_ml", "agreement", "boundary_entropy", "review", "seconds", "model")


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
        self._table = ReportTable(output, COLUMNS, lambda row: row["review"] != "failed")

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
            self._table.forget(scan.path)
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
        if self._table.is_due():
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

    def _write(self) -> None:
        self._table.write(_row(entry) for entry in self.entries)


def _row(entry: dict[str, Any]) -> dict[str, Any]:
    review = "failed" if entry["error"] else "yes" if entry["review"] else "no"
    return {**entry, "review": review}


def _rounded(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 4)
