"""Which files and folders are volumes, and what they are called."""

from __future__ import annotations

import os
from pathlib import Path

from MaskWhatMattersLib.errors import InputError

NIFTI = (".nii", ".nii.gz")
ITK_FORMATS = (".nrrd", ".nhdr", ".mha", ".mhd")
PICTURES = (".png", ".jpg", ".jpeg")
DICOM = (".dcm", ".ima")

_SUFFIXES = tuple(sorted((*NIFTI, *ITK_FORMATS, *PICTURES, *DICOM), key=len, reverse=True))


def suffix_of(path: str | Path) -> str:
    """The ending in lower case that says the format, ".nii.gz" included; "" when unknown."""
    name = Path(path).name.lower()
    return next((suffix for suffix in _SUFFIXES if name.endswith(suffix) and name != suffix), "")


def base_name(path: str | Path) -> str:
    """The name without folder and format: "scan" for "a/scan.nii.gz", "b" for the folder "a/b"."""
    name = Path(path).name
    suffix = suffix_of(name)
    return name[: -len(suffix)] if suffix else name


def is_volume_path(path: str | Path) -> bool:
    """Whether `read_volume` would try this path: a file of a known format, or a folder that holds DICOM files."""
    path = Path(path)
    if path.is_dir():
        return bool(dicom_files(path, at_most=1))
    return path.is_file() and (suffix_of(path) != "" or is_dicom_file(path))


def find_volume_paths(folder: str | Path) -> list[Path]:
    """Every volume below a folder, sorted; a folder of DICOM files is one volume. Hidden ones are left out.

    Raises:
        InputError: Not a folder, or one that may not be read.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder. Give the folder that holds the images.")
    found: list[Path] = []

    def refuse(error: OSError) -> None:
        raise InputError(
            f"The folder {error.filename} cannot be read ({error.strerror}). Ask for the right to read it."
        )

    for parent, names, files in os.walk(folder, onerror=refuse):
        names[:] = sorted(name for name in names if not name.startswith("."))
        visible = [Path(parent) / name for name in files if not name.startswith(".")]
        if dicom_files(Path(parent), at_most=1):
            found.append(Path(parent))
            visible = [path for path in visible if suffix_of(path) not in (*DICOM, "")]
        found.extend(path for path in visible if suffix_of(path) not in (*DICOM, ""))
    return sorted(found)


def dicom_files(folder: Path, at_most: int | None = None) -> list[Path]:
    """DICOM files directly in a folder, sorted; known by their first bytes, whatever they are called."""
    found: list[Path] = []
    for path in sorted(folder.iterdir()):
        if at_most is not None and len(found) >= at_most:
            break
        if suffix_of(path) in (*DICOM, "") and not path.name.startswith(".") and is_dicom_file(path):
            found.append(path)
    return found


def is_dicom_file(path: Path) -> bool:
    """Whether the file has DICOM's mark after its preamble."""
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False
