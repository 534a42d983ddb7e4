"""Pictures of masked images, drawn as in the papers: grey squares where the encoder sees nothing."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

_HIDDEN, _EDGE = 112, 88
"""Grey of a hidden token, and of the line that tells it from its neighbours."""
_OUTLINE = (255, 235, 60)
_WANTED = 384
_GAP = 8


def masked_picture(
    picture: NDArray[np.uint8],
    hidden: NDArray[np.bool_] | None = None,
    region: NDArray[np.bool_] | None = None,
    wanted: int = _WANTED,
) -> NDArray[np.uint8]:
    """A picture with its hidden tokens covered and its region outlined.

    Args:
        picture: Grey values, [H, W].
        hidden: True for hidden tokens, [rows, columns], which divide H and W; None covers nothing.
        region: True in the relevant region, [H, W]; None outlines nothing.
        wanted: Small pictures are shown with whole pixels repeated until their longer side has about so many.

    Returns:
        RGB, [k H, k W, 3], with k the whole number that makes small pictures large enough to look at.
    """
    factor = max(1, round(wanted / max(picture.shape)))
    grey = _enlarged(picture, (factor, factor))
    if hidden is not None:
        token = (grey.shape[0] // hidden.shape[0], grey.shape[1] // hidden.shape[1])
        covered = _enlarged(hidden, token)
        edge = np.zeros_like(covered)
        edge[:: token[0]] = True
        edge[:, :: token[1]] = True
        grey = np.where(covered, np.where(edge, _EDGE, _HIDDEN), grey).astype(np.uint8)
    pixels = np.repeat(grey[..., np.newaxis], 3, axis=2)
    if region is not None:
        pixels[_border(_enlarged(region, (factor, factor)))] = _OUTLINE
    return pixels


def side_by_side(left: NDArray[np.uint8], right: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Two RGB pictures of one height, [H, W, 3] each, with a white line between them."""
    return np.concatenate([left, np.full((len(left), _GAP, 3), 255, np.uint8), right], axis=1)


def png_of(pixels: NDArray[np.uint8]) -> bytes:
    """An RGB picture, [H, W, 3], as the content of a PNG file that says in its header that we made it."""
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    from MaskWhatMattersLib import __version__

    header = PngInfo()
    header.add_text("Software", f"whatmatters {__version__}")
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, format="PNG", pnginfo=header, compress_level=1)
    return content.getvalue()


def _enlarged(plane: NDArray[Any], by: tuple[int, int]) -> NDArray[Any]:
    return plane.repeat(by[0], axis=0).repeat(by[1], axis=1)


def _border(region: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels of the region that touch another one outside of it; at the edge of the picture the outline is closed."""
    from scipy import ndimage

    border: NDArray[np.bool_] = region & ~ndimage.binary_erosion(region, iterations=2)
    return border
