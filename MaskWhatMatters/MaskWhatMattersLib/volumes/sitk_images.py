"""`Volume` to SimpleITK image and back; with `geometry`, the only places that know of LPS."""

from __future__ import annotations

from typing import Any

import numpy as np
import SimpleITK
from numpy.typing import NDArray

from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.volumes.geometry import Affine, direction_of, lps_from_ras, ras_from_lps, spacing_of

sitk: Any = SimpleITK  # it declares hardly any types


def image_from_array(array: NDArray[Any], affine: Affine) -> Any:
    """A SimpleITK image on a grid.

    Args:
        array: [D, H, W], or [C, D, H, W] for a vector image.
        affine: (i, j, k) to RAS mm.
    """
    stored = storable(array)
    is_vector = stored.ndim == 4
    image = sitk.GetImageFromArray(np.moveaxis(stored, 0, -1) if is_vector else stored, isVector=is_vector)
    place_image(image, affine)
    return image


def place_image(image: Any, affine: Affine) -> None:
    """Give a 3D image the grid of an affine to RAS mm."""
    affine_lps = lps_from_ras(affine)
    image.SetSpacing(spacing_of(affine_lps))
    image.SetOrigin(affine_lps[:3, 3].tolist())
    image.SetDirection(direction_of(affine_lps).ravel().tolist())


def array_of(image: Any) -> NDArray[Any]:
    """Voxels of a 2D or 3D image, [C, D, H, W].

    Raises:
        InputError: Complex numbers or another type that is not a number per channel.
    """
    if "complex" in image.GetPixelIDTypeAsString() or "label" in image.GetPixelIDTypeAsString():
        raise InputError(
            f"Voxels must be numbers; found the type {image.GetPixelIDTypeAsString()}. Save the magnitude of the image."
        )
    array = np.asarray(sitk.GetArrayFromImage(image))
    if image.GetDimension() == 2:
        array = array[np.newaxis]
    return array[np.newaxis] if image.GetNumberOfComponentsPerPixel() == 1 else np.moveaxis(array, -1, 0).copy()


def affine_of(image: Any) -> Affine:
    """(i, j, k) to RAS mm of a 2D or 3D image; a 2D image lies in the axial plane through 0, 1 mm thick."""
    dimension = image.GetDimension()
    affine_lps = np.eye(4)
    direction = np.array(image.GetDirection()).reshape(dimension, dimension)
    affine_lps[:dimension, :dimension] = direction * image.GetSpacing()
    affine_lps[:dimension, 3] = image.GetOrigin()
    return ras_from_lps(affine_lps)


def storable(array: NDArray[Any]) -> NDArray[Any]:
    """The same values in a type that files and SimpleITK know: truth values as uint8, odd floats as usual ones."""
    if array.dtype == np.bool_:
        return array.astype(np.uint8)
    if array.dtype.kind == "f" and array.dtype.itemsize not in (4, 8):
        return array.astype(np.float32 if array.dtype.itemsize < 4 else np.float64)
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))
