"""Distances between the surfaces of two masks, and what is reported of them.

The surface is the outermost layer of voxels: those that erosion with the 6-neighbourhood (4 in 2D) takes away, where
outside of the array counts as outside of the mask. Distances go from voxel centre to voxel centre.

MONAI has distances of this kind. Where it defines a metric the same way the tests compare with it (directed and
symmetric mean, surface Dice); its Hausdorff percentile is the larger of two percentiles, not the one over both
directions together that the published left atrium numbers use, and each of its functions starts from the masks again,
in float32. Here the distances are computed once, in float64, and everything is read off them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import KDTree

from MaskWhatMattersLib.errors import GeometryError
from MaskWhatMattersLib.evaluation.overlap import Mask, as_masks

_ROUNDING_MM = 1e-4
"""Spacing read from a file is off by this at most, and a distance of exactly the tolerance must count as within it."""

_LEAF_SIZE = 32  # one query of many points per tree: flatter trees than the default of 16 are faster (measured)


@dataclass(frozen=True)
class SurfaceDistances:
    """From every surface voxel of one mask to the nearest surface voxel of the other.

    Attributes:
        to_truth: One distance per surface voxel of the prediction, [P]; infinite where the truth is empty.
        to_prediction: One distance per surface voxel of the truth, [T]; infinite where the prediction is empty.
    """

    to_truth: NDArray[np.float64]
    to_prediction: NDArray[np.float64]

    @property
    def is_defined(self) -> bool:
        """Whether both masks have a surface; every distance is NaN otherwise, never 0."""
        return bool(self.to_truth.size and self.to_prediction.size)

    def hausdorff(self, percentile: float = 95.0) -> float:
        """Percentile of both directions pooled: the HD95 of the published left atrium protocol.

        Linear interpolation between ranks. The larger of two directed percentiles, another common definition, differs.
        """
        if not self.is_defined:
            return float("nan")
        return float(np.percentile(np.concatenate([self.to_truth, self.to_prediction]), percentile))

    def directed_mean(self) -> float:
        """Mean from prediction to truth: the ASD of the published left atrium protocol.

        What the prediction misses does not enter, so a prediction that is too small looks good.
        """
        return float(self.to_truth.mean()) if self.is_defined else float("nan")

    def symmetric_mean(self) -> float:
        """Mean over the surface voxels of both masks (ASSD; Heimann et al. 2009, doi:10.1109/TMI.2009.2013851)."""
        if not self.is_defined:
            return float("nan")
        return float(np.concatenate([self.to_truth, self.to_prediction]).mean())

    def within(self, tolerance: float) -> float:
        """Share of surface voxels of both masks that lie within the tolerance of the other surface, 0 to 1.

        The normalised surface Dice of Nikolov et al. (arXiv 1809.04430), with voxels counted instead of areas. 0 where
        one mask is empty, NaN where both are.
        """
        voxels = self.to_truth.size + self.to_prediction.size
        if voxels == 0:
            return float("nan")
        reach = tolerance + _ROUNDING_MM
        return int((self.to_truth <= reach).sum() + (self.to_prediction <= reach).sum()) / voxels


def surface_distances(
    prediction: NDArray[Any], truth: NDArray[Any], spacing: Sequence[float] | None = None
) -> SurfaceDistances:
    """Exact Euclidean distances between the surfaces of two masks.

    The nearest surface voxel is found with a k-d tree over surface voxels. It gives the same numbers as a distance
    transform of the bounding box, 2 to 3 times faster for organs, and its cost does not grow with the gap between an
    organ and a stray voxel far away.

    Args:
        prediction: Not zero is inside, [D, H, W] or any other number of dimensions.
        truth: The same shape.
        spacing: Distance of neighbouring voxels along each array axis, so (k, j, i) for [D, H, W]; None for 1: the
            distances are in voxels.

    Raises:
        GeometryError: The shapes differ, or the spacing is not one positive number per axis.
    """
    prediction, truth = as_masks(prediction, truth)
    scale = np.ones(truth.ndim) if spacing is None else np.asarray(spacing, dtype=np.float64)
    if scale.shape != (truth.ndim,) or not (np.isfinite(scale).all() and (scale > 0).all()):
        raise GeometryError(
            f"The spacing must be {truth.ndim} positive numbers, one per array axis; found {spacing!r}. "
            "Give it in the order of the axes: (k, j, i)."
        )
    from_prediction, from_truth = _surface_points(prediction) * scale, _surface_points(truth) * scale
    return SurfaceDistances(_nearest(from_prediction, from_truth), _nearest(from_truth, from_prediction))


def surface(mask: Mask) -> Mask:
    """The outermost layer of voxels of a mask, the same shape."""
    return np.asarray(mask & ~ndimage.binary_erosion(mask))


def _surface_points(mask: Mask) -> NDArray[np.float64]:
    """Array indices of the surface voxels, [points, dimensions]."""
    box = ndimage.find_objects(mask.view(np.uint8), max_label=1)
    if not box or box[0] is None:
        return np.zeros((0, mask.ndim))
    first = [extent.start for extent in box[0]]
    return np.asarray(np.argwhere(surface(mask[box[0]])) + first, dtype=np.float64)


def _nearest(points: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance of each point to the nearest of the others, [points]; infinite where there is none."""
    if not len(points) or not len(others):
        return np.full(len(points), np.inf)
    return np.asarray(KDTree(others, leafsize=_LEAF_SIZE).query(points)[0], dtype=np.float64)
