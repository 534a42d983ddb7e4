"""PNG and JPEG pictures as one slice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.volumes.geometry import Affine

GREY_TOLERANCE = 24
"""Largest difference between the channels of a pixel, of 255, that counts as grey: JPEG shifts colours."""

GREY_FRACTION = 0.995
"""Part of the pixels that must be grey: a small coloured mark or ruler on a film does no harm."""


def frontal_film_affine(spacing_ij_mm: tuple[float, float] = (1.0, 1.0)) -> Affine:
    """Affine to RAS of a frontal film: columns run from the patient's right to the left, rows from head to feet.

    k points to the back, which makes the grid right-handed.
    """
    affine = np.zeros((4, 4))
    affine[0, 0], affine[2, 1] = -spacing_ij_mm[0], -spacing_ij_mm[1]
    affine[1, 2] = -1.0
    affine[3, 3] = 1.0
    return affine


def read_picture(path: Path) -> NDArray[Any]:
    """Grey values of a picture, [1, 1, H, W]; a JPEG's rotation mark is obeyed.

    Raises:
        InputError: True colour, or no picture, or one that ends too early.
    """
    try:
        from PIL import Image, ImageOps
    except ImportError as error:
        raise InputError(
            "Reading pictures needs the package Pillow, which is not installed. Install it: pip install pillow."
        ) from error
    try:
        with Image.open(path) as picture:
            picture.load()
            upright = ImageOps.exif_transpose(picture)
            if upright.mode in ("1", "L", "I", "F") or upright.mode.startswith("I;16"):
                grey = np.asarray(upright)
            elif upright.mode == "LA":
                grey = np.asarray(upright.getchannel("L"))
            else:
                grey = grey_of(np.asarray(upright.convert("RGB")))
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except Exception as error:  # Pillow's decoders raise many kinds for a damaged file
        raise InputError(
            f"{path} cannot be read as a picture: it is damaged, ends too early, is too large or is another kind of "
            f"file ({type(error).__name__}: {error}). Export it again as PNG."
        ) from error
    grey = grey.astype(np.uint8) if grey.dtype == np.bool_ else grey
    return np.ascontiguousarray(grey, dtype=grey.dtype.newbyteorder("="))[np.newaxis, np.newaxis]


def grey_of(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The common value of three nearly equal channels, [H, W, 3] to [H, W]."""
    spread = rgb.max(axis=-1) - rgb.min(axis=-1)
    colored = float(np.mean(spread > GREY_TOLERANCE))
    if colored > 1 - GREY_FRACTION:
        raise InputError(
            f"The picture is in true colour: the channels differ in {colored:.0%} of the pixels. "
            "Only grey pictures (X-ray, a slice of CT or MR) can be used; convert it to grey first."
        )
    return np.asarray(np.median(rgb, axis=-1).astype(np.uint8))
