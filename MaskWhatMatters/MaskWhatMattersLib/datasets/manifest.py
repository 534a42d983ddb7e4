"""The manifest of a folder of scans: which file is what, in which split."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from MaskWhatMattersLib.errors import InputError

FILE_NAME = "MANIFEST.csv"
COLUMNS = ("path", "dataset", "split", "modality", "label", "label_path")
_LABEL_MAP_MODALITIES = ("label", "mask")


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
        patient: Whose image it is; "" where the manifest does not say.
        label_note: The label column of the label map's own row, which names its values.
    """

    image: Path
    label_map: Path | None
    dataset: str
    split: str
    modality: str
    note: str
    patient: str = ""
    label_note: str = ""


def read_manifest(folder: Path) -> list[ManifestRow]:
    """Images of `folder`/MANIFEST.csv, in its order; rows that describe label maps are attached to their image.

    Raises:
        InputError: No manifest, or columns are missing.
    """
    file = folder / FILE_NAME
    if not file.is_file():
        raise InputError(f"No {FILE_NAME} in {folder}. Give the folder that holds the data sets (WHATMATTERS_DATA).")
    return [row for row in read_table(file, COLUMNS) if "/images/" in row.image.relative_to(folder).as_posix()]


def read_table(file: Path, needed: tuple[str, ...] = ("path",)) -> list[ManifestRow]:
    """Images of a table with a column `path` and, as far as they are there, those of `COLUMNS` and `patient`.

    Paths count from the folder of the table. Rows of label maps are attached to their image.

    Args:
        file: CSV with a first row of column names.
        needed: Columns that must be there.

    Raises:
        InputError: Not such a table, or columns are missing.
    """
    try:
        with file.open(newline="", encoding="utf-8-sig") as lines:
            reader = csv.DictReader(lines)
            missing = [column for column in needed if column not in (reader.fieldnames or [])]
            if missing:
                raise InputError(f"{file} lacks the columns {', '.join(missing)}; found {reader.fieldnames}.")
            rows = [{key: (value or "").strip() for key, value in row.items() if key} for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"The table {file} cannot be read ({error}). Save it as CSV in UTF-8.") from error
    label_maps = {row["label_path"] for row in rows if row.get("label_path")}
    note_of = {row["path"]: row.get("label", "") for row in rows}
    return [
        ManifestRow(
            image=file.parent / row["path"],
            label_map=file.parent / row["label_path"] if row.get("label_path") else None,
            dataset=row.get("dataset", ""),
            split=row.get("split", ""),
            modality=row.get("modality", ""),
            note=row.get("label", ""),
            patient=row.get("patient", ""),
            label_note=note_of.get(row.get("label_path", ""), ""),
        )
        for row in rows
        if row["path"] and row["path"] not in label_maps and row.get("modality") not in _LABEL_MAP_MODALITIES
    ]
