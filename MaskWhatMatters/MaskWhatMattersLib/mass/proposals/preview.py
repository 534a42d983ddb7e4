"""Show proposals: some that do not hide one another, as a label map, and as colours over three planes."""

from __future__ import annotations

import colorsys
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from MaskWhatMattersLib.datasets.cases import looks_like_ct
from MaskWhatMattersLib.masking.preview import png_of
from MaskWhatMattersLib.mass.proposals.proposal_set import KINDS, ProposalSet
from MaskWhatMattersLib.volumes import CT_WINDOWS, Volume, percentile_window, window

_MOST = 80
_MOST_OF_FIELD = 0.06
_LEAST_FREE = 0.8  # of a proposal, when it is painted
_OPACITY = 0.4
_GAP = 8
_WANTED = 384  # pixels of the longer side
_FEW = ("merged", "threshold", "user", "sam2")  # kinds that look like anatomy
_TURN = 0.618  # of the circle of hues from one colour to the next: neighbours in number look unlike


def overview(proposals: ProposalSet, most: int = _MOST) -> NDArray[np.uint8]:
    """Proposals beside one another, large ones first, each where at least four fifths of it are free.

    Args:
        proposals: Any.
        most: As many are shown, up to 255.

    Returns:
        Labels from 1 on, 0 where no shown proposal is, [D, H, W].
    """
    shown = np.zeros(proposals.spatial_shape, np.uint8)
    few = np.isin(proposals.kind, [KINDS.index(kind) for kind in _FEW])
    allowed = (few if few.any() else np.ones_like(few)) & (proposals.voxels <= _MOST_OF_FIELD * shown.size)
    label = 0
    for index in np.argsort(-proposals.volume_ml, kind="stable"):
        if label == min(most, 255):
            break
        if not allowed[index]:
            continue
        k, j, i, k_end, j_end, i_end = proposals.bounds[index].tolist()
        box = (slice(k, k_end), slice(j, j_end), slice(i, i_end))
        free = proposals.masks([index], box)[0] & (shown[box] == 0)
        if np.count_nonzero(free) >= _LEAST_FREE * proposals.voxels[index]:
            label += 1
            shown[box][free] = label
    return shown


def overlay(volume: Volume, labels: NDArray[np.uint8]) -> bytes:
    """Axial, coronal and sagittal plane with coloured labels and their outlines, as a PNG file.

    Shown as radiologists do: the patient's right on the left, anterior or superior on top.

    Args:
        volume: Scalar scan, [1, D, H, W], orientation RAS, cubic voxels.
        labels: From `overview`, on its voxels.
    """
    values = volume.array[0]
    grey = window(values, *CT_WINDOWS["soft_tissue"]) if looks_like_ct(volume) else percentile_window(values)
    centre = ndimage.center_of_mass(labels > 0) if labels.any() else [length / 2 for length in labels.shape]
    k, j, i = (int(place) for place in centre)
    planes = [
        _coloured(grey[k, ::-1, ::-1], labels[k, ::-1, ::-1]),
        _coloured(grey[::-1, j, ::-1], labels[::-1, j, ::-1]),
        _coloured(grey[::-1, ::-1, i], labels[::-1, ::-1, i]),
    ]
    height = max(map(len, planes))
    picture = np.zeros((height, sum(plane.shape[1] for plane in planes) + 2 * _GAP, 3), np.uint8)
    left = 0
    for plane in planes:
        picture[: len(plane), left : left + plane.shape[1]] = plane
        left += plane.shape[1] + _GAP
    return png_of(picture)


def colour_of(label: int) -> tuple[float, float, float]:
    """Red, green and blue of a label, 0 to 1."""
    return colorsys.hsv_to_rgb(label * _TURN % 1.0, 0.85, 1.0)


def _coloured(grey: NDArray[np.float32], labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """One plane, RGB [k H, k W, 3], with k the whole number that makes a small one large enough to look at."""
    factor = max(1, round(_WANTED / max(grey.shape)))
    base = np.repeat(_enlarged(grey, factor)[..., None] * 255.0, 3, axis=2)
    large = _enlarged(labels, factor)
    table = np.array([colour_of(label) for label in range(256)]) * 255.0
    outline = (large > 0) & (ndimage.grey_erosion(large, 3) != ndimage.grey_dilation(large, 3))
    opacity = np.where(outline, 1.0, np.where(large > 0, _OPACITY, 0.0))[..., None]
    return np.asarray(base * (1 - opacity) + table[large] * opacity).astype(np.uint8)


def _enlarged(plane: NDArray[Any], by: int) -> NDArray[Any]:
    return plane.repeat(by, axis=0).repeat(by, axis=1)
