"""What `whatmatters mass segment` leaves in the output folder: label maps and report.csv."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from MaskWhatMattersLib.cli.names import unique_slugs
from MaskWhatMattersLib.cli.report_table import REPORT, ReportTable
from MaskWhatMattersLib.cli.result_files import ResultFolder, write_nifti

if TYPE_CHECKING:
    from MaskWhatMattersLib.cli.inputs import Scan
    from MaskWhatMattersLib.mass.example import TaskLabel
    from MaskWhatMattersLib.mass.result import InContextSegmentation

COLUMNS = ("input", "label", "volume_ml", "quality", "seconds", "model")
_SHOWN = 20


class MassResults:
    """Writes the files of each scan as it is done, and the table from time to time and at the end.

    Args:
        output: Folder of the results; exists.
        keep_probabilities: Write those of each label, too.

    Raises:
        InputError: A file called report.csv is there that is no such table.
    """

    def __init__(self, output: Path, keep_probabilities: bool = False) -> None:
        self.output = output
        self.entries: list[dict[str, Any]] = []
        self._keep_probabilities = keep_probabilities
        self._table = ReportTable(output, COLUMNS, lambda row: row["label"] != "")

    @property
    def failed(self) -> list[str]:
        """Inputs that could not be processed."""
        return [entry["input"] for entry in self.entries if entry["error"]]

    def add(self, scan: Scan, result: InContextSegmentation) -> None:
        """Write the label map of one scan, and the probabilities to keep, all or none.

        Raises:
            InputError: A file is in the way that is not ours, or the disk is full.
            OSError: The disk is full or went away.
        """
        name = f"{scan.name}.nii.gz"
        replaced = (self.output / scan.folder / name).exists()
        note = f"not for clinical use; {result.model}"
        with ResultFolder(self.output / scan.folder) as folder:
            write_nifti(result.label_map, folder.stage(name), f"by example; {note}")
            if self._keep_probabilities and (probabilities := result.probabilities) is not None:
                endings = probability_endings([found.label for found in result.labels])
                for ending, values in zip(endings, probabilities.array, strict=True):
                    path = folder.stage(f"{scan.name}_{ending}.nii.gz")
                    write_nifti(probabilities.with_array(values[None]), path, f"probability; {note}")
            folder.commit()
        if replaced:
            self._table.forget(scan.path)
        self.entries.append(
            {
                "input": str(scan.path),
                "label_map": (scan.folder / name).as_posix(),
                "labels": [
                    {
                        "label": found.label.name,
                        "value": found.label.value,
                        "volume_ml": round(found.volume_ml, 3),
                        "quality": _rounded(found.quality),
                        "largest_probability": _rounded(found.largest_probability),
                        "notes": list(found.notes),
                    }
                    for found in result.labels
                ],
                "quality_method": result.quality_method,
                "notes": list(result.notes),
                "windows": result.windows,
                "windows_looked_at": result.windows_looked_at,
                "seconds": round(result.seconds, 2),
                "model": result.model,
                "error": None,
            }
        )
        if self._table.is_due():
            self._write()

    def add_failure(self, scan: Scan, text: str) -> None:
        """Note that a scan could not be processed; it gets a row without label."""
        self.entries.append({"input": str(scan.path), "labels": [], "notes": [], "error": text})

    def close(self) -> None:
        """Write the table, as far as the run got."""
        if self.entries:
            self._write()

    def as_json(self) -> str:
        """The entries of this run; what is not a number is null."""
        return json.dumps(self.entries, indent=2) + "\n"

    def worst_first(self) -> Iterator[str]:
        """The rows of this run in aligned lines, lowest quality first; those whose quality is unknown come last."""
        rows = [row for entry in self.entries for row in _rows(entry) if row["label"]]
        rows.sort(key=lambda row: (row["quality"] is None, row["quality"] or 0.0))
        cells = [("quality", "mL", "label", "input")]
        for row in rows[:_SHOWN]:
            quality = "?" if row["quality"] is None else f"{row['quality']:.2f}"
            cells.append((quality, f"{row['volume_ml']:.1f}", row["label"], row["input"]))
        width = max(len(label) for _, _, label, _ in cells)
        for quality, volume, label, path in cells if rows else ():
            yield f"{quality:>7}  {volume:>9}  {label:<{width}}  {path}"
        if len(rows) > _SHOWN:
            yield f"and {len(rows) - _SHOWN} more in {REPORT}"

    def summary(self) -> str:
        """One line for the end of the run."""
        parts = [f"{len(self.entries) - len(self.failed)} done"]
        parts += [f"{len(self.failed)} failed"] if self.failed else []
        return f"{', '.join(parts)}. See {REPORT} in {self.output}. Not for clinical use."

    def _write(self) -> None:
        self._table.write(row for entry in self.entries for row in _rows(entry))


def probability_endings(labels: Sequence[TaskLabel]) -> list[str]:
    """What the file of each label's probabilities ends in."""
    slugs = unique_slugs([label.name for label in labels])
    return [f"{slugs[label.name]}_probability" for label in labels]


def in_words(result: InContextSegmentation) -> str:
    """One result in one line."""
    parts = [
        f"{found.label.name} {found.volume_ml:.1f} mL"
        + ("" if math.isnan(found.quality) else f" (quality {found.quality:.2f})")
        for found in result.labels[:_SHOWN]
    ]
    parts += [f"{len(result.labels) - _SHOWN} more"] if len(result.labels) > _SHOWN else []
    return f"{', '.join(parts)}, {result.seconds:.1f} s"


def _rows(entry: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Rows of the table: one per label, or one without label for a failure."""
    if entry["error"]:
        yield {"input": entry["input"], **dict.fromkeys(COLUMNS[1:], "")}
    for label in entry["labels"]:
        yield {**label, "input": entry["input"], "seconds": entry["seconds"], "model": entry["model"]}


def _rounded(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 4)
