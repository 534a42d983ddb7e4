"""Where the body is in a scan."""

from __future__ import annotations

from typing import Any

import numpy as np
import SimpleITK
from numpy.typing import NDArray
from scipy import ndimage

from MaskWhatMattersLib.evaluation.components import largest_component
from MaskWhatMattersLib.volumes import Volume

sitk: Any = SimpleITK  # it declares hardly any types

_AIR_HU = -500.0
_DARK = 0.001  # of the 99th percentile
_CLOSING = 2  # voxels
_LEAST_OF_FIELD = 0.01


def body_mask(volume: Volume, is_ct: bool) -> NDArray[np.bool_]:
    """The largest thing that is not air, without holes (MASS, inference of the released code).

    CT is body above -500 HU; anything else where its value is above a thousandth of the 99th percentile. That takes
    in everything where the surroundings are not black, as in crops and in most MR: the whole field is looked at then.
    Air that the body encloses in an axial slice counts as body, so that lungs stay in a scan that ends within them.

    Args:
        volume: Scalar scan, [1, D, H, W], k leading along the body (RAS).
        is_ct: Whether values are HU.

    Returns:
        [D, H, W]; True throughout where less than a hundredth would be body.
    """
    values = np.nan_to_num(volume.array[0])
    if is_ct:
        dense = values > _AIR_HU
    else:
        size = np.abs(values)
        dense = size > _DARK * np.percentile(size[:: max(1, len(size) // 32)], 99)
    if not dense.any() or dense.all():
        return np.ones(volume.spatial_shape, np.bool_)
    body = largest_component(_closed(dense))
    for plane in body:
        plane[...] = ndimage.binary_fill_holes(plane)
    body = np.asarray(ndimage.binary_fill_holes(body))
    if np.count_nonzero(body) < _LEAST_OF_FIELD * body.size:
        return np.ones(volume.spatial_shape, np.bool_)
    return body


def _closed(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Gaps of a few voxels closed; an axis of a few voxels is left as it is."""
    radius = [_CLOSING if length > 2 * _CLOSING else 0 for length in reversed(mask.shape)]
    closed = sitk.BinaryMorphologicalClosing(sitk.GetImageFromArray(mask.astype(np.uint8)), radius)
    return np.asarray(sitk.GetArrayFromImage(closed)).astype(np.bool_)
