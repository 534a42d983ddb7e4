"""What one run leaves in the output folder: maps and masks, report.json, contact sheets."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from MaskWhatMattersLib.cli.result_files import ResultFolder, is_result, read_report, write_json, write_nifti
from MaskWhatMattersLib.contact_sheet import SheetRow, draw_row, join_rows, save_picture

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

    from MaskWhatMattersLib.cli.inputs import Scan
    from MaskWhatMattersLib.relevance.relevance_map import RelevanceMap
    from MaskWhatMattersLib.volumes import Volume

REPORT = "report.json"
_ROWS_PER_SHEET = 24
_SAVE_EVERY_S = 20.0


class Results:
    """Writes the results of each image as it is done, and the report from time to time and at the end.

    Args:
        output: Folder of the results; exists.
        slugs: What each prompt is called in file names, in the order of the answers.
        threshold: For the masks; each map's own when None.
    """

    def __init__(self, output: Path, slugs: dict[str, str], threshold: float | None) -> None:
        self.output = output
        self.entries: list[dict[str, Any]] = []
        self.failed: list[Path] = []
        self._slugs = slugs
        self._threshold = threshold
        self._rows: list[Picture] = []
        self._sheets = 0
        self._saved = time.monotonic()
        with ResultFolder(output) as folder:  # before hours of work: these names must be ours to use
            folder.stage(REPORT)
            folder.stage(_sheet_name(1))
        self._earlier = read_report(output / REPORT) or []

    def add(self, scan: Scan, volume: Volume, answers: Sequence[RelevanceMap]) -> Sequence[RelevanceMap]:
        """Write maps and masks of one image, all or none; returns the answers.

        Raises:
            InputError: A file is in the way that is not ours, or the disk is full.
            OSError: The disk is full or went away.
        """
        entries = []
        with ResultFolder(self.output / scan.folder) as folder:
            for slug, answer in zip(self._slugs.values(), answers, strict=True):
                stem = f"{scan.name}_{slug}"
                names = {kind: f"{stem}_{kind}.nii.gz" for kind in ("relevance", "mask")}
                mask = answer.mask(self._threshold)
                note = f"not for clinical use; {answer.localizer} {answer.model_version}"
                write_nifti(answer.volume, folder.stage(names["relevance"]), f"relevance; {note}")
                write_nifti(mask, folder.stage(names["mask"]), f"mask; {note}")
                entries.append(self._entry(scan, answer, names))
            folder.commit()
        self.entries += entries
        self._rows.append(draw_row(SheetRow(volume, answers, str(scan.folder / scan.name), self._threshold)))
        if len(self._rows) >= _ROWS_PER_SHEET:
            self._write_sheet()
        if time.monotonic() - self._saved > _SAVE_EVERY_S:
            self._write_report()
        return answers

    def add_failure(self, scan: Scan, text: str) -> None:
        """Note that an image could not be processed."""
        self.failed.append(scan.path)
        for prompt in self._slugs:
            self.entries.append(
                {
                    "input": str(scan.path),
                    "prompt": prompt,
                    "verdict": None,
                    "score": None,
                    "seconds": None,
                    "localizer": None,
                    "model_version": None,
                    "error": text,
                }
            )

    def close(self) -> None:
        """Write the last sheet and the report, as far as the run got."""
        if self.entries:
            self._write_report()
        if self._rows:
            self._write_sheet()
        self._remove_stale_sheets()

    def as_json(self) -> str:
        """The entries of this run."""
        return json.dumps(self.entries, indent=2) + "\n"

    def summary(self) -> str:
        """One or two lines for the end of the run."""
        done = len({entry["input"] for entry in self.entries if not entry["error"]})
        failures = f", {len(self.failed)} failed" if self.failed else ""
        sheet = f" and {_sheet_name(1)}" if self._sheets else ""
        return f"{done} done{failures}. See {REPORT}{sheet} in {self.output}. Not for clinical use."

    def _entry(self, scan: Scan, answer: RelevanceMap, names: dict[str, str]) -> dict[str, Any]:
        size = answer.volume_ml(self._threshold)
        return {
            "input": str(scan.path),
            "prompt": answer.prompt,
            "verdict": answer.verdict,
            "score": round(float(answer.score), 4),
            "seconds": round(float(answer.seconds), 3),
            "localizer": answer.localizer,
            "model_version": answer.model_version,
            "concept": answer.concept,
            "message": answer.message,
            "threshold": answer.threshold if self._threshold is None else self._threshold,
            "volume_ml": None if size is None else round(size, 3),
            **{kind: (scan.folder / name).as_posix() for kind, name in names.items()},
            "error": None,
        }

    def _write_report(self) -> None:
        """This run's entries, then those of earlier runs whose results are still there and were not made again."""
        mine = {(entry["input"], entry["prompt"]) for entry in self.entries}
        files = {entry.get("relevance") for entry in self.entries}
        kept = [
            entry
            for entry in self._earlier
            if (entry["input"], entry["prompt"]) not in mine
            and entry.get("relevance") not in files
            and (self.output / str(entry.get("relevance") or ".missing")).is_file()
        ]
        with ResultFolder(self.output) as folder:
            write_json(self.entries + kept, folder.stage(REPORT))
            folder.commit()
        self._saved = time.monotonic()

    def _write_sheet(self) -> None:
        with ResultFolder(self.output) as folder:
            save_picture(join_rows(self._rows), folder.stage(_sheet_name(self._sheets + 1)))
            folder.commit()
        self._sheets += 1
        self._rows = []

    def _remove_stale_sheets(self) -> None:
        """Pages of a longer earlier run would show other images than the report."""
        number = self._sheets + 1
        while self._sheets and is_result(stale := self.output / _sheet_name(number)):
            stale.unlink()
            number += 1


def _sheet_name(number: int) -> str:
    return "contact_sheet.png" if number == 1 else f"contact_sheet_{number}.png"
