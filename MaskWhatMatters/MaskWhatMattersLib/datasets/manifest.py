"""The manifest of a folder of scans: which file is what, in which split."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from MaskWhatMattersLib.errors import InputError

COLUMNS = ("path", "dataset", "split", "modality", "label", "label_path")


@dataclass(frozen=True)
class ManifestRow:
    """One image of a data folder.

    Attributes:
        image: Image file.
        label_map: Label map on the same grid; None when there is none.
        dataset: Name of the set.
        split: "train", "val" or "test".
        modality: As the manifest words it.
        note: The manifest's label column: a class, boxes, the structures that were contoured.
    """

    image: Path
    label_map: Path | None
    dataset: str
    split: str
    modality: str
    note: str


def read_manifest(folder: Path) -> list[ManifestRow]:
    """Images of `folder`/MANIFEST.csv, in its order; rows that describe label maps are attached to their image.

    Raises:
        InputError: No manifest, or columns are missing.
    """
    file = folder / "MANIFEST.csv"
    if not file.is_file():
        raise InputError(f"No MANIFEST.csv in {folder}. Give the folder that holds the data sets (WHATMATTERS_DATA).")
    with file.open(newline="", encoding="utf-8") as lines:
        reader = csv.DictReader(lines)
        missing = [column for column in COLUMNS if column not in (reader.fieldnames or [])]
        if missing:
            raise InputError(f"{file} lacks the columns {', '.join(missing)}; found {reader.fieldnames}.")
        rows = list(reader)
    return [
        ManifestRow(
            image=folder / row["path"],
            label_map=folder / row["label_path"] if row["label_path"] else None,
            dataset=row["dataset"],
            split=row["split"],
            modality=row["modality"],
            note=row["label"],
        )
        for row in rows
        if "/images/" in row["path"]
    ]
