"""A coarse look at a scan, which tells the windows that need no closer one."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from torch import Tensor
from torch.nn import functional

from MaskWhatMattersLib.mass.windows import Window, blended, padded, windows_over
from MaskWhatMattersLib.progress import Progress

COARSE = 2
"""The coarse look has voxels of this many times the edge."""

_POSSIBLE = 0.05
_AROUND_MM = 20.0


def is_worth_it(shape: Sequence[int], window: int, overlap: float) -> bool:
    """Whether a coarse look can save time: there are more than twice as many windows as it takes itself."""
    coarse = [math.ceil(side / COARSE) for side in shape]
    return _count(shape, window, overlap) > 2 * _count(coarse, window, overlap)


def look_from_afar(
    predict: Callable[[Tensor], Tensor],
    image: Tensor,
    classes: int,
    window: int,
    overlap: float,
    progress: Progress,
) -> Tensor:
    """Probabilities at twice the spacing.

    Args:
        predict: [B, 1, D, H, W] to [B, K, D, H, W].
        image: Prepared, [D, H, W]. Every coarse voxel is the mean of the 2 x 2 x 2 voxels from (2k, 2j, 2i) on.
        classes: K.
        window: Side of a window, voxels.
        overlap: Of windows, as a share.
        progress: Gets one step per window.

    Returns:
        [K, ceil(D / 2), ceil(H / 2), ceil(W / 2)].
    """
    coarse = functional.avg_pool3d(image[None, None], COARSE, ceil_mode=True, count_include_pad=False)[0, 0]
    whole, inside = padded(coarse, window)
    windows = windows_over(whole.shape, window, overlap)
    progress.stage("Looking where it may be", len(windows))
    return blended(predict, whole, windows, classes, progress)[(slice(None), *inside)]


def windows_to_look_at(windows: Sequence[Window], coarse: Tensor, inside: Window, spacing_mm: float) -> list[Window]:
    """Windows that hold a voxel within 20 mm of where a label is possible (p > 0.05 in the coarse look).

    A label that the coarse look shows nowhere may be too small for it: then every window stays.

    Args:
        windows: Of the padded image.
        coarse: From `look_from_afar`.
        inside: Where the image lies in the padded one.
        spacing_mm: Of the image's voxels.
    """
    possible = coarse > _POSSIBLE
    if not bool(possible.flatten(1).any(1).all()):
        return list(windows)
    near = _dilated(possible.any(0), math.ceil(_AROUND_MM / (COARSE * spacing_mm))).cpu()
    return [window for window in windows if bool(near[_on_coarse(window, inside)].any())]


def to_fine(coarse: Tensor, shape: Sequence[int]) -> Tensor:
    """Coarse probabilities [K, d, h, w] on the image's voxels, [K, D, H, W]; trilinear."""
    depth, height, width = shape
    sides = [COARSE * side for side in coarse.shape[1:]]
    fine = functional.interpolate(coarse[None].float(), sides, mode="trilinear", align_corners=False)[0]
    return fine[:, :depth, :height, :width]


def _count(shape: Sequence[int], window: int, overlap: float) -> int:
    return len(windows_over([max(side, window) for side in shape], window, overlap))


def _dilated(mask: Tensor, radius: int) -> Tensor:
    """A mask [D, H, W] and all voxels so near along each axis."""
    values = mask.float()[None, None]
    for axis in range(3):
        kernel, padding = [1, 1, 1], [0, 0, 0]
        kernel[axis], padding[axis] = 2 * radius + 1, radius
        values = functional.max_pool3d(values, kernel, stride=1, padding=padding)
    return values[0, 0] > 0


def _on_coarse(window: Window, inside: Window) -> Window:
    sides = [
        slice(max(0, side.start - part.start) // COARSE, math.ceil(max(0, side.stop - part.start) / COARSE))
        for side, part in zip(window, inside, strict=True)
    ]
    return sides[0], sides[1], sides[2]
