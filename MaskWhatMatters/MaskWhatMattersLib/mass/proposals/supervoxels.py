"""Cut the body into small regions: even ones of a given size (SLIC), and basins between edges (watershed)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import SimpleITK
from numpy.typing import NDArray
from scipy import ndimage

sitk: Any = SimpleITK  # it declares hardly any types

_SMOOTHING = 0.7  # voxels


@dataclass(frozen=True, eq=False)
class Scene:
    """What regions are cut from.

    Attributes:
        channels: 0 to 1, float32 [C, D, H, W].
        body: Where regions may be, [D, H, W].
        spacing_mm: Along k, j and i.
    """

    channels: NDArray[np.float32]
    body: NDArray[np.bool_]
    spacing_mm: tuple[float, float, float]

    @property
    def body_ml(self) -> float:
        """Volume of the body."""
        return float(np.count_nonzero(self.body) * np.prod(self.spacing_mm)) / 1000.0

    def halved(self) -> Self:
        """The same scene from blocks of two voxels along every axis that is not coarse already."""
        finest = min(self.spacing_mm)
        steps = [
            2 if length >= 8 and spacing < 1.5 * finest else 1
            for length, spacing in zip(self.body.shape, self.spacing_mm, strict=True)
        ]
        along_k, along_j, along_i = (spacing * step for spacing, step in zip(self.spacing_mm, steps, strict=True))
        channels = np.stack([_block_means(channel, steps) for channel in self.channels])
        body = _block_means(self.body.astype(np.float32), steps) >= 0.5
        return type(self)(channels, body, (along_k, along_j, along_i))


def gradient(scene: Scene) -> NDArray[np.float32]:
    """Magnitude of the gradient over all channels, slightly smoothed, [D, H, W]."""
    squared = np.zeros(scene.body.shape, np.float32)
    for channel in scene.channels:
        squared += ndimage.gaussian_gradient_magnitude(channel, _SMOOTHING) ** 2
    return np.sqrt(squared)


def even_regions(scene: Scene, region_ml: float, compactness: float, iterations: int) -> NDArray[np.int32]:
    """Regions of about one size that follow edges where they can (SLIC; Achanta et al. 2012).

    Args:
        scene: What is cut.
        region_ml: Wanted size, mL.
        compactness: Difference of grey values, of 1, that weighs as much as the distance of two regions.
        iterations: Rounds of clustering.

    Returns:
        Labels from 1 on without gaps, 0 outside of the body, [D, H, W].
    """
    side_mm = (region_ml * 1000.0) ** (1 / 3)
    sides = [
        min(length, max(1, round(side_mm / spacing)))
        for length, spacing in zip(scene.body.shape, scene.spacing_mm, strict=True)
    ]
    image = sitk.GetImageFromArray(np.moveaxis(scene.channels, 0, -1), isVector=True)
    clusters = sitk.SLIC(image, sides[::-1], compactness, iterations, True, True)
    return _within(sitk.GetArrayViewFromImage(clusters).astype(np.int32) + 1, scene.body)


def basins(edges: NDArray[np.float32], body: NDArray[np.bool_], depth: float) -> NDArray[np.int32]:
    """Regions whose borders run along edges (watershed of the gradient).

    Args:
        edges: Magnitude of the gradient, [D, H, W].
        body: Where regions may be, [D, H, W].
        depth: Basins that are shallower than this join a neighbour.

    Returns:
        Labels from 1 on without gaps, 0 outside of the body, [D, H, W].
    """
    regions = sitk.MorphologicalWatershed(sitk.GetImageFromArray(edges), depth, False, False)
    return _within(sitk.GetArrayViewFromImage(regions).astype(np.int32), body)


def enlarged(labels: NDArray[np.int32], shape: tuple[int, ...]) -> NDArray[np.int32]:
    """Labels of a halved scene on the voxels that it was made from."""
    for axis, length in enumerate(shape):
        if labels.shape[axis] != length:
            labels = labels.repeat(2, axis)
            missing = length - labels.shape[axis]
            labels = np.pad(labels, [(0, missing if each == axis else 0) for each in range(3)], mode="edge")
    return labels


def _within(labels: NDArray[np.int32], body: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Nothing outside of the body, and labels without gaps."""
    labels[~body] = 0
    counts = np.bincount(labels.reshape(-1))
    counts[0] = 0
    numbers = np.where(counts > 0, np.cumsum(counts > 0), 0).astype(np.int32)
    return np.asarray(numbers[labels])


def _block_means(values: NDArray[np.float32], steps: list[int]) -> NDArray[np.float32]:
    """Means of blocks of so many voxels; what does not fill a block at the far end is left out."""
    depth, height, width = (length // step for length, step in zip(values.shape, steps, strict=True))
    whole = values[: depth * steps[0], : height * steps[1], : width * steps[2]]
    blocks = whole.reshape(depth, steps[0], height, steps[1], width, steps[2])
    return np.asarray(blocks.mean((1, 3, 5), dtype=np.float32))
