"""The simplest baseline: the example's label map, laid over the new scan where it lies in the world."""

from __future__ import annotations

import numpy as np

from MaskWhatMattersLib.volumes import Volume, resample_like, to_ras


def copy_label_map(label_map: Volume, target: Volume, *, centred: bool = False) -> Volume:
    """The label map on the target's grid.

    Args:
        label_map: Of the example, integers [1, D, H, W].
        target: Scan to be segmented; only its grid matters.
        centred: Move the middle of the label map's field of view onto that of the target first, for scans whose world
            positions have nothing to do with each other.

    Returns:
        Integers [1, D, H, W] on the target's grid; 0 where the example's scan does not reach.
    """
    if centred:
        affine = label_map.affine.copy()
        affine[:3, 3] += middle_ras(target) - middle_ras(label_map)
        label_map = Volume(label_map.array, affine, name=label_map.name)
    return resample_like(label_map, target, "nearest")


def middle_ras(volume: Volume) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Middle of the field of view, RAS mm, [3]."""
    middle = (np.array(volume.spatial_shape[::-1]) - 1) / 2
    return np.asarray(to_ras(middle, volume.affine))
