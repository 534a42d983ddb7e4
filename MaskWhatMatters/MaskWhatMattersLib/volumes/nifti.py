"""NIfTI files, through nibabel.

SimpleITK is not used for them: it silently replaces a sheared sform by an orthogonal one, and it reads the voxels of
x.nii when asked for x.nii.gz where both exist (measured with SimpleITK 2.5.7).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.volumes.geometry import Affine, checked_affine, spacing_of, to_ras

_EXACT_ENOUGH_MM = 2e-5
_COMMENT = 6  # NIfTI's code for a header extension of plain text.
_EXTENSION_KEY = "MaskWhatMatters affine RAS"
_MM_PER_UNIT = {"meter": 1000.0, "micron": 0.001}


def read_nifti(path: Path) -> tuple[NDArray[Any], Affine]:
    """Voxels [C, D, H, W] and affine to RAS mm.

    Raises:
        InputError: A time series, or a file that is no NIfTI or ends too early.
        GeometryError: An affine that is sheared, singular or not finite.
    """
    nibabel = _nibabel()
    try:
        image = nibabel.load(path, mmap=False)
        affine = _affine_of(image)
        _refuse_time_series(path, image.shape)
        array = _voxels_of(image)
    except InputError as error:
        raise type(error)(f"{path}: {error}") from error
    except Exception as error:  # nibabel, gzip and zlib raise a dozen kinds for a damaged file
        raise InputError(
            f"{path} cannot be read as NIfTI: it is damaged, ends too early or is another kind of file "
            f"({type(error).__name__}: {error}). Copy it again from its source."
        ) from error
    return array, affine


def write_nifti(array: NDArray[Any], affine: Affine, path: Path) -> None:
    """Write voxels [C, D, H, W]; several channels become the fifth dimension, as the format wants it."""
    nibabel = _nibabel()
    data = array[0].T if array.shape[0] == 1 else array.T[:, :, :, np.newaxis, :]
    if max(data.shape) > np.iinfo(np.int16).max:
        raise InputError(
            f"NIfTI holds at most 32767 voxels along an axis; found {data.shape[:3]}. Write .nrrd or .mha instead."
        )
    image = nibabel.Nifti1Image(data, None, dtype=data.dtype)
    image.header.set_xyzt_units("mm")
    # Both, because programs differ in which one they look at; the quaternion is the less exact one.
    image.set_qform(affine, code=1, strip_shears=True)
    image.set_sform(affine, code=1)
    image.header["pixdim"][1:4] = spacing_of(affine)
    if array.shape[0] > 1:
        image.header.set_intent("vector")
    if _rounding_error_mm(affine, data.shape[:3]) > _EXACT_ENOUGH_MM:
        text = json.dumps({_EXTENSION_KEY: affine.tolist()})
        image.header.extensions.append(nibabel.nifti1.Nifti1Extension(_COMMENT, text.encode()))
    nibabel.save(image, path)


def _affine_of(image: Any) -> Affine:
    """The affine that the header gives, in mm: sform before qform, as Slicer does."""
    header = image.header
    if header["sform_code"] > 0:
        affine = np.array(header.get_sform(), dtype=np.float64)
        affine = _exact_affine(header, affine)
    elif header["qform_code"] > 0:
        affine = np.array(header.get_qform(), dtype=np.float64)
    else:
        # No place in the world given. Slicer takes the axes for those of LPS and starts at 0, so a result must, too.
        affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ np.diag([*header["pixdim"][1:4].astype(np.float64), 1.0])
    affine[:3] *= _MM_PER_UNIT.get(header.get_xyzt_units()[0], 1.0)
    return checked_affine(affine)


def _exact_affine(header: Any, rounded: Affine) -> Affine:
    """The affine of our own header extension if it still is the one that the sform rounds."""
    for extension in header.extensions:
        if extension.get_code() != _COMMENT:
            continue
        try:
            exact = np.array(json.loads(extension.text.rstrip("\0"))[_EXTENSION_KEY], dtype=np.float64)
        except (ValueError, KeyError, TypeError):
            continue
        if exact.shape == (4, 4) and np.array_equal(exact.astype(np.float32), rounded.astype(np.float32)):
            return exact
    return rounded


def _rounding_error_mm(affine: Affine, size_ijk: tuple[int, ...]) -> float:
    """How far float32, the type of a NIfTI header, moves the corner that moves most; of 512 voxels at least."""
    rounded = affine.astype(np.float32).astype(np.float64)
    corners = np.array(np.meshgrid(*[(0, max(length, 512) - 1) for length in size_ijk])).reshape(3, -1).T
    return float(np.abs(to_ras(corners, rounded) - to_ras(corners, affine)).max())


def _refuse_time_series(path: Path, shape: tuple[int, ...]) -> None:
    if len(shape) > 3 and shape[3] > 1:
        raise InputError(
            f"The image has four dimensions: {shape[3]} frames of {shape[0]} x {shape[1]} x {shape[2]} voxels. "
            "Extract one frame (or their mean) into a file of its own and use that."
        )
    if len(shape) > 5 and max(shape[5:]) > 1:
        raise InputError(f"The image has {len(shape)} dimensions, {shape}. Extract one three-dimensional image.")


def _voxels_of(image: Any) -> NDArray[Any]:
    stored = image.get_data_dtype()
    array = np.asanyarray(image.dataobj)
    if stored.fields is not None:
        return np.stack([np.ascontiguousarray(array[color].T) for color in stored.names]).reshape(
            len(stored.names), *_three(array.shape)[::-1]
        )
    if array.dtype.kind == "f" and stored.kind in "iu" and stored.itemsize <= 2:
        # Scaled 16-bit integers: float32 holds them, and half the memory of nibabel's float64 is enough.
        array = array.astype(np.float32)
    channels = array.shape[4] if array.ndim > 4 else 1
    array = array.reshape((*_three(array.shape), channels), order="F").T
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))


def _three(shape: tuple[int, ...]) -> tuple[int, int, int]:
    i, j, k = (*shape[:3], 1, 1, 1)[:3]
    return i, j, k


def _nibabel() -> Any:
    try:
        import nibabel
    except ImportError as error:
        raise InputError(
            "Reading and writing NIfTI needs the package nibabel, which is not installed. "
            "Install it (pip install nibabel), or use .nrrd."
        ) from error
    return nibabel
