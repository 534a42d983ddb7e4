"""A DICOM series: the files of one folder that belong together, with geometry from their headers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK
from numpy.typing import NDArray

from MaskWhatMattersLib.errors import GeometryError, InputError
from MaskWhatMattersLib.volumes.geometry import Affine, ras_from_lps
from MaskWhatMattersLib.volumes.paths import dicom_files
from MaskWhatMattersLib.volumes.pictures import frontal_film_affine
from MaskWhatMattersLib.volumes.sitk_images import affine_of, array_of

sitk: Any = SimpleITK  # it declares hardly any types

_MODALITY = "0008|0060"
_POSITION = "0020|0032"
_ORIENTATION = "0020|0037"
_SPACING = "0028|0030"
_DETECTOR_SPACING = "0018|1164"
_SERIES_TEXT = "0008|103e"
_SERIES_ID = "0020|000e"

_MODALITIES = {"CT": "CT", "MR": "MR"} | dict.fromkeys(("CR", "DX", "RG", "XR", "XA", "RF"), "XR")
_EVEN = 0.05
"""Largest deviation of a slice from its even place, as a part of the slice distance."""


def modality_of(code: str | None) -> str | None:
    """Our word for a DICOM modality code; "other" for one that is none of ours, None where nothing is said."""
    cleaned = (code or "").strip().upper()
    return _MODALITIES.get(cleaned, "other") if cleaned not in ("", "OT") else None


def read_dicom(path: Path) -> tuple[NDArray[Any], Affine, str | None]:
    """Voxels [C, D, H, W], affine to RAS mm and modality of a series.

    Args:
        path: A folder with one series, or one file of the wanted series among others.

    Raises:
        InputError: No DICOM, several series (all named), damaged files, or several frames at one place.
        GeometryError: Slices that are missing, unevenly spaced or sheared (a tilted gantry).
    """
    try:
        files = _files_of_series(path)
        tags = [_tags_of(file) for file in files]
        modality = modality_of(tags[0].get(_MODALITY, ""))
        if len(files) == 1:
            return *_read_one(files[0], tags[0], modality), modality
        order, affine = _stack(tags)
        image = sitk.ReadImage([str(files[index]) for index in order], imageIO="GDCMImageIO")
        return array_of(image), affine, modality
    except InputError as error:
        raise type(error)(f"{path}: {error}") from error
    except RuntimeError as error:
        raise InputError(
            f"{path} cannot be read as DICOM: a file is damaged, ends too early or uses a compression that is not "
            f"supported ({str(error).strip().splitlines()[-1]}). Export the series again, uncompressed."
        ) from error


def _files_of_series(path: Path) -> list[Path]:
    folder = path if path.is_dir() else path.parent
    series: dict[str, list[Path]] = {}
    texts: dict[str, str] = {}
    for file in dicom_files(folder):
        tags = _tags_of(file)
        identifier = tags.get(_SERIES_ID, "").strip()
        series.setdefault(identifier, []).append(file)
        texts.setdefault(identifier, f"{tags.get(_MODALITY, '').strip()} {tags.get(_SERIES_TEXT, '').strip()}".strip())
    if not path.is_dir():
        return next((files for files in series.values() if path in files), [path])
    if not series:
        raise InputError("The folder holds no DICOM files. Choose the folder that holds the slices themselves.")
    if len(series) > 1:
        listed = "; ".join(
            f"{texts[identifier] or 'no description'} ({len(files)} files, for example {files[0].name})"
            for identifier, files in series.items()
        )
        raise InputError(
            f"The folder must hold one DICOM series; found {len(series)}: {listed}. "
            "Give one file of the series you want, or move it to a folder of its own."
        )
    return next(iter(series.values()))


def _tags_of(file: Path) -> dict[str, str]:
    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(str(file))
    reader.ReadImageInformation()
    wanted = (_MODALITY, _POSITION, _ORIENTATION, _SPACING, _DETECTOR_SPACING, _SERIES_TEXT, _SERIES_ID)
    # SimpleITK marks bytes that are not UTF-8 as surrogates; they must not reach a message or a log.
    return {
        tag: reader.GetMetaData(tag).encode("utf-8", "replace").decode() for tag in wanted if reader.HasMetaDataKey(tag)
    }


def _read_one(file: Path, tags: dict[str, str], modality: str | None) -> tuple[NDArray[Any], Affine]:
    image = sitk.ReadImage(str(file), imageIO="GDCMImageIO")
    if image.GetDimension() == 3 and _ORIENTATION not in tags and modality == "XR":
        rows_mm, columns_mm = _numbers(tags.get(_SPACING) or tags.get(_DETECTOR_SPACING) or "1\\1", 2)
        return array_of(image), frontal_film_affine((columns_mm, rows_mm))
    return array_of(image), affine_of(image)


def _stack(tags: list[dict[str, str]]) -> tuple[list[int], Affine]:
    """Order of the slices along their normal, and the affine that follows from the first and the last one."""
    if any(tag not in each for tag in (_POSITION, _ORIENTATION, _SPACING) for each in tags):
        raise GeometryError(
            "Every slice must say where it lies; some have no position, orientation or pixel spacing. "
            "Use the original series instead of secondary captures."
        )
    orientations = np.array([_numbers(each[_ORIENTATION], 6) for each in tags])
    if np.abs(orientations - orientations[0]).max() > 1e-3:
        raise GeometryError(
            "The slices of a series must be parallel; found several directions (a localizer?). Choose another series."
        )
    along_i, along_j = orientations[0, :3], orientations[0, 3:]
    normal = np.cross(along_i, along_j)
    positions = np.array([_numbers(each[_POSITION], 3) for each in tags])
    order = np.argsort(positions @ normal, kind="stable")
    positions = positions[order]
    _check_even(positions @ normal)
    rows_mm, columns_mm = _numbers(tags[0][_SPACING], 2)
    affine_lps = np.eye(4)
    affine_lps[:3, 0] = along_i / np.linalg.norm(along_i) * columns_mm
    affine_lps[:3, 1] = along_j / np.linalg.norm(along_j) * rows_mm
    affine_lps[:3, 2] = (positions[-1] - positions[0]) / (len(positions) - 1)
    affine_lps[:3, 3] = positions[0]
    return order.tolist(), ras_from_lps(affine_lps)


def _check_even(heights_mm: NDArray[np.float64]) -> None:
    """Refuse slices on top of each other, and gaps."""
    gaps = np.diff(heights_mm)
    if (gaps < 1e-3).any():
        places = 1 + int((gaps >= 1e-3).sum())
        raise InputError(
            f"The series has four dimensions: {len(heights_mm)} slices at {places} places "
            "(time points, echoes or b-values). Export one of them as a series of its own."
        )
    if np.abs(gaps - gaps.mean()).max() > _EVEN * gaps.mean():
        raise GeometryError(
            f"Slices must be evenly spaced; found gaps from {gaps.min():.3f} to {gaps.max():.3f} mm. "
            "A slice is missing, or the series holds several scans: export it again completely."
        )


def _numbers(text: str, count: int) -> tuple[float, ...]:
    try:
        values = tuple(float(part) for part in text.split("\\"))
    except ValueError:
        values = ()
    if len(values) != count:
        raise GeometryError(
            f"A DICOM header must give {count} numbers here; found {text!r}. Export the series again from its source."
        )
    return values
