"""Read and write volumes; the format follows from the name."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK
from numpy.typing import NDArray

from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.volumes.checks import replace_not_finite, require_finite
from MaskWhatMattersLib.volumes.dicom import read_dicom
from MaskWhatMattersLib.volumes.geometry import Affine
from MaskWhatMattersLib.volumes.nifti import read_nifti, write_nifti
from MaskWhatMattersLib.volumes.paths import ITK_FORMATS, NIFTI, PICTURES, base_name, is_dicom_file, suffix_of
from MaskWhatMattersLib.volumes.pictures import frontal_film_affine, read_picture
from MaskWhatMattersLib.volumes.sitk_images import affine_of, array_of, image_from_array, storable
from MaskWhatMattersLib.volumes.volume import Volume

sitk: Any = SimpleITK  # it declares hardly any types

_IMAGE_IO = {".nrrd": "NrrdImageIO", ".nhdr": "NrrdImageIO", ".mha": "MetaImageIO", ".mhd": "MetaImageIO"}


def read_volume(path: str | Path, *, replace_nan: float | None = None, modality: str | None = None) -> Volume:
    """Read NIfTI, NRRD, MetaImage, a DICOM series (its folder, or one of its files), PNG or JPEG.

    Args:
        path: File or folder.
        replace_nan: Put this value in place of NaN and infinities, which are refused otherwise.
        modality: "CT", "MR" or "XR" where the user knows; else what a DICOM header says.

    Raises:
        InputError: Missing, damaged, a time series, true colour, several series, NaN; the message says what to do.
        GeometryError: An affine that is sheared, singular or not finite.
    """
    path = Path(path)
    _check_readable(path)
    suffix = suffix_of(path)
    found_modality: str | None = None
    if path.is_dir() or (suffix not in (*NIFTI, *ITK_FORMATS, *PICTURES) and is_dicom_file(path)):
        array, affine, found_modality = read_dicom(path)
    elif suffix in NIFTI:
        array, affine = read_nifti(path)
    elif suffix in ITK_FORMATS:
        array, affine = _read_itk(path)
    elif suffix in PICTURES:
        array, affine = read_picture(path), frontal_film_affine()
    else:
        raise InputError(
            f"{path} is not an image format that can be read. Use .nii, .nii.gz, .nrrd, .mha, .mhd, .png, .jpg, "
            "or a folder with a DICOM series."
        )
    volume = Volume(
        array,
        affine,
        name=base_name(path),
        modality=modality or found_modality,
        has_physical_scale=suffix not in PICTURES,
    )
    return require_finite(volume) if replace_nan is None else replace_not_finite(volume, replace_nan)


def write_volume(volume: Volume, path: str | Path) -> None:
    """Write .nii, .nii.gz, .nrrd, .nhdr, .mha or .mhd so that the file is either complete or not there.

    Truth values become 0 and 1 (uint8). The affine comes back to 1e-4 mm; an existing file is replaced at the end.

    Raises:
        InputError: Another format, a folder that is missing or not writable, or a full disk.
    """
    path = Path(path)
    suffix = suffix_of(path)
    if suffix not in (*NIFTI, *ITK_FORMATS):
        raise InputError(
            f"{path.name} is not a format that keeps voxels and their place in the patient. "
            "Use .nii.gz, .nii, .nrrd or .mha."
        )
    if not path.parent.is_dir():
        raise InputError(f"The folder {path.parent} does not exist. Create it first, or choose another folder.")
    if path.is_dir():
        raise InputError(f"{path} is a folder. Choose a file name inside of it.")
    try:
        # The whole name stays: a header (.mhd, .nhdr) names the data file beside it.
        with tempfile.TemporaryDirectory(prefix=".writing-", dir=path.parent) as aside:
            written = Path(aside) / path.name
            array = storable(volume.array)
            if suffix in NIFTI:
                write_nifti(array, volume.affine, written)
            else:
                _write_itk(array, volume.affine, written)
            # The header last: until then, the old pair stays whole or the new one is not found.
            for file in sorted(Path(aside).iterdir(), key=lambda file: file == written):
                os.replace(file, path.parent / file.name)
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or str(error).strip().splitlines()[-1]
        raise InputError(
            f"{path.name} could not be written to the folder {path.parent} ({reason}; "
            f"{free_space(path.parent)}). Free some space or choose a folder that you may write to."
        ) from error


def _check_readable(path: Path) -> None:
    if not path.exists():
        raise InputError(f"{path} does not exist. Check the name, and that the disk is connected.")
    if not os.access(path, os.R_OK):
        raise InputError(f"{path} may not be read by this user. Ask for the right to read it, or copy it.")
    if path.is_file() and path.stat().st_size == 0:
        raise InputError(f"{path} is empty: 0 bytes. Copy it again from its source.")


def _read_itk(path: Path) -> tuple[NDArray[Any], Affine]:
    try:
        reader = sitk.ImageFileReader()
        reader.SetImageIO(_IMAGE_IO[suffix_of(path)])
        reader.SetFileName(str(path))
        reader.ReadImageInformation()
        size = reader.GetSize()
        if len(size) > 3 and max(size[3:]) > 1:
            raise InputError(
                f"The image has {len(size)} dimensions: {int(np.prod(size[3:]))} frames of "
                f"{size[0]} x {size[1]} x {size[2]} voxels. Extract one frame into a file of its own and use that."
            )
        if len(size) > 3:
            reader.SetExtractSize([*size[:3], *(0 for _ in size[3:])])
        image = reader.Execute()
        return array_of(image), affine_of(image)
    except InputError as error:
        raise type(error)(f"{path}: {error}") from error
    except RuntimeError as error:
        raise InputError(
            f"{path} cannot be read: it is damaged, ends too early, its data file is missing or it is another kind of "
            f"file ({str(error).strip().splitlines()[-1]}). Copy it again from its source."
        ) from error


def _write_itk(array: NDArray[Any], affine: Affine, path: Path) -> None:
    image = image_from_array(array[0] if array.shape[0] == 1 else array, affine)
    sitk.WriteImage(image, str(path), useCompression=True, imageIO=_IMAGE_IO[suffix_of(path)])


def free_space(folder: Path) -> str:
    """How much fits on the disk of a folder, in words."""
    try:
        return f"{shutil.disk_usage(folder).free / 1e6:.0f} MB free"
    except OSError:
        return "free space unknown"
