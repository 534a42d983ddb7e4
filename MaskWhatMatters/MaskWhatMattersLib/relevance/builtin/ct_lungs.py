"""Lungs in CT by rule: air inside the body, wide enough to be lung. There are no manual masks to learn them from."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from MaskWhatMattersLib.volumes import Volume, orient, resample_like, resample_to_spacing

AIR_HU = -320.0
"""Lung tissue lies below this, soft tissue above, HU."""
EMPTY_HU = -965.0
"""The air of windpipe, mouth and bowel is emptier than lung, HU."""
DENSEST_CORE_HU = -500.0
"""The middle of a lung is mostly air, HU; skin and fat rims never are."""
WORKING_MM = 3.0
MIN_VOLUME_ML = 20.0
"""Less than this on one side is not called a lung."""


def ct_lungs(volume: Volume) -> dict[str, Volume]:
    """Left and right lung as float32 0/1 maps, [1, D, H, W], on the volume's own grid.

    Args:
        volume: CT in HU with physical scale, [1, D, H, W].

    Returns:
        "left lung" and "right lung"; all zero where there is none.
    """
    coarse = resample_to_spacing(orient(volume, "LPS"), WORKING_MM)
    array = np.asarray(coarse.array[0], np.float32)
    right, left = _lungs(array, coarse.voxel_volume_ml)
    low_hu = np.asarray(volume.array[0]) < AIR_HU
    result = {}
    for name, half in (("right lung", right), ("left lung", left)):
        near = coarse.with_array(ndimage.binary_dilation(half, iterations=1).astype(np.float32)[None])
        fine = resample_like(near, volume, "linear").array[0] >= 0.5
        result[name] = volume.with_array((_closed(fine & low_hu) & fine).astype(np.float32)[None])
    return result


def _lungs(array: NDArray[np.float32], voxel_ml: float) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Right and left lung in a coarse array whose i leads to the patient's left, [D, H, W]."""
    # Emptier air is windpipe, bowel or room; the thin rims where it meets tissue go with the opening.
    tissue = ndimage.binary_opening((array > EMPTY_HU) & (array < AIR_HU)) & _inside_body(array)
    parts, _ = ndimage.label(tissue)
    lungs = np.zeros_like(tissue)
    for part, place in enumerate(ndimage.find_objects(parts), start=1):
        inside = parts[place] == part
        core = ndimage.binary_erosion(inside, iterations=2)
        is_large = inside.sum() * voxel_ml >= MIN_VOLUME_ML
        if is_large and core.any() and float(np.median(array[place][core])) < DENSEST_CORE_HU:
            lungs[place] |= inside
    if not lungs.any():
        return lungs, lungs.copy()
    body_middle = float(ndimage.center_of_mass(array > AIR_HU)[2])
    halves = _two_halves(lungs, body_middle)
    return tuple(half if half.sum() * voxel_ml >= MIN_VOLUME_ML else np.zeros_like(half) for half in halves)  # type: ignore[return-value]


def _inside_body(array: NDArray[np.float32]) -> NDArray[np.bool_]:
    """The largest dense piece with everything that it encloses in an axial slice, [D, H, W]."""
    dense = ndimage.binary_opening(array > AIR_HU)
    parts, count = ndimage.label(dense)
    if count == 0:
        return np.zeros(array.shape, bool)
    sizes = ndimage.sum_labels(dense, parts, range(1, count + 1))
    body = parts == int(np.argmax(sizes)) + 1
    return np.stack([ndimage.binary_fill_holes(plane) for plane in body])


def _two_halves(lungs: NDArray[np.bool_], middle: float) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Right and left: erode until two large parts stand alone, then give every voxel to the nearer part."""
    seeds = lungs
    for _ in range(8):
        parts, count = ndimage.label(seeds)
        sizes = ndimage.sum_labels(seeds, parts, range(1, count + 1)) if count else np.zeros(0)
        large = [index + 1 for index, size in enumerate(sizes) if size > 0.15 * sizes.sum()]
        if len(large) >= 2:
            break
        seeds = ndimage.binary_erosion(seeds)
    else:
        parts, count, large = lungs.astype(int), 1, [1]
    side_of = {part: ndimage.center_of_mass(parts == part)[2] > middle for part in large}
    seeds_left = np.isin(parts, [part for part in large if side_of[part]])
    seeds_right = np.isin(parts, [part for part in large if not side_of[part]])
    if not seeds_left.any() or not seeds_right.any():
        return lungs & (not seeds_left.any()), lungs & bool(seeds_left.any())
    nearer_left = ndimage.distance_transform_edt(~seeds_left) < ndimage.distance_transform_edt(~seeds_right)
    return lungs & ~nearer_left, lungs & nearer_left


def _closed(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Vessels inside the lung filled in."""
    closed: NDArray[np.bool_] = ndimage.binary_closing(mask, iterations=2) | mask
    return closed
