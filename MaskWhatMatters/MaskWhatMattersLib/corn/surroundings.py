"""Made-up surroundings for cropped scans, so that a network can learn, and a test can ask, where the atrium is.

No uncropped left atrium scan is at hand. A figure measured on these says that the atrium is told from mirrored and
warped tissue of the same scan; it is never the accuracy on a real full field of view.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from MaskWhatMattersLib.errors import InputError

_FEATHER_VOXELS = 2


class Embedded(NamedTuple):
    """A scan in its surroundings.

    Attributes:
        image: uint8 [D, H, W].
        labels: uint8 [D, H, W]; 0 in the surroundings.
        corner: Where the first voxel of the scan came to lie, (k, j, i).
    """

    image: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    corner: tuple[int, int, int]


def embed(
    image: NDArray[np.uint8], labels: NDArray[np.uint8], shape: Sequence[int], random: np.random.Generator
) -> Embedded:
    """Put a cropped scan at a random place of a larger field of view.

    The surroundings are the scan without its atrium, mirrored, shifted and warped, under a shading and noise, inside an
    elliptic body; the scan fades into them over a few voxels. Nothing is padded with a constant, which would give the
    place away.

    Args:
        image: uint8 [D, H, W].
        labels: 1 in the atrium, on the same grid.
        shape: Voxels of the result; along each axis at least those of the scan.
        random: Source of every choice.

    Raises:
        InputError: The result would be smaller than the scan.
    """
    if any(side < own for side, own in zip(shape, image.shape, strict=True)):
        raise InputError(
            f"The surroundings must be larger than the scan; found {tuple(shape)} for a scan of {image.shape}. "
            "Choose a larger field of view."
        )
    room = [side - own for side, own in zip(shape, image.shape, strict=True)]
    corner = tuple(int(random.integers(0, free + 1)) for free in room)
    pads = [(start, free - start) for start, free in zip(corner, room, strict=True)]
    around = _warped(np.pad(_without_atrium(image, labels, random), pads, mode="symmetric"), random)
    around = around * _body(shape, corner, image.shape, random) * _shading(shape, random)
    around += random.normal(0, 0.03 * 255, shape)
    # 1 on the scan, falling to 0 at its faces, but only where there is something beyond the face.
    weight = np.ones(image.shape)
    for axis, (before, after) in enumerate(pads):
        ramp = np.ones(image.shape[axis])
        fade = (np.arange(_FEATHER_VOXELS) + 1) / (_FEATHER_VOXELS + 1)
        if before and len(ramp) > 2 * _FEATHER_VOXELS:
            ramp[:_FEATHER_VOXELS] = fade
        if after and len(ramp) > 2 * _FEATHER_VOXELS:
            ramp[-_FEATHER_VOXELS:] = fade[::-1]
        weight *= ramp.reshape([-1 if each == axis else 1 for each in range(image.ndim)])
    inside = tuple(slice(start, start + own) for start, own in zip(corner, image.shape, strict=True))
    around[inside] = weight * image + (1 - weight) * around[inside]
    truth = np.zeros(tuple(shape), np.uint8)
    truth[inside] = labels
    return Embedded(np.clip(np.rint(around), 0, 255).astype(np.uint8), truth, (corner[0], corner[1], corner[2]))


def _without_atrium(
    image: NDArray[np.uint8], labels: NDArray[np.uint8], random: np.random.Generator
) -> NDArray[np.float64]:
    """The scan with other tissue of the same scan where the atrium was."""
    hole = ndimage.binary_dilation(labels > 0, iterations=2)
    if hole.all() or not hole.any():
        return image.astype(np.float64)
    values = np.where(hole, 0.0, image)
    known = np.where(hole, 0.0, 1.0)
    smooth = ndimage.gaussian_filter(values, 4) / np.maximum(ndimage.gaussian_filter(known, 4), 1e-3)
    texture = image[~hole].astype(np.float64)
    return np.where(hole, 0.7 * smooth + 0.3 * random.choice(texture, image.shape), image)


def _warped(image: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.float64]:
    """Shifted by a smooth random field of some ten voxels, so that mirrored anatomy is no mirror image any more."""
    coarse = [max(2, side // 16) for side in image.shape]
    shifts = []
    for side in image.shape:
        field = random.normal(0, 0.08 * side, coarse)
        shifts.append(ndimage.zoom(field, np.array(image.shape) / coarse, order=1, grid_mode=True, mode="nearest"))
    places = np.indices(image.shape, dtype=np.float64) + np.stack(shifts)
    return np.asarray(ndimage.map_coordinates(image, places, order=1, mode="reflect"), dtype=np.float64)


def _body(
    shape: Sequence[int], corner: Sequence[int], size: Sequence[int], random: np.random.Generator
) -> NDArray[np.float64]:
    """1 in an elliptic cylinder around the scan, a little above 0 in the air outside of it."""
    distance = np.zeros(tuple(shape))
    for axis in (1, 2):
        middle = corner[axis] + size[axis] / 2
        # Far enough that the whole scan lies inside; the chest is wider than deep.
        radius = max(0.75 * size[axis], float(random.uniform(0.35, 0.8)) * shape[axis])
        coordinate = (np.arange(shape[axis]) - middle - random.uniform(-0.1, 0.1) * size[axis]) / radius
        distance += np.square(coordinate).reshape([-1 if each == axis else 1 for each in range(3)])
    return np.where(distance < 1, 1.0, float(random.uniform(0.02, 0.15)))


def _shading(shape: Sequence[int], random: np.random.Generator) -> NDArray[np.float64]:
    """A smooth factor between about 0.6 and 1.4, as the coils of a scanner leave it."""
    field = random.uniform(0.6, 1.4, [2] * len(shape))
    return np.asarray(
        ndimage.zoom(field, np.array(tuple(shape)) / 2, order=1, grid_mode=True, mode="nearest"), dtype=np.float64
    )
