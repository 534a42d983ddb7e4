"""The usual baseline (atlas segmentation): register the example's scan to the new one, then move its label map along.

Affine by mutual information (Mattes et al. 2003), and demons on top where asked; coarse to fine, in SimpleITK.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import SimpleITK

from MaskWhatMattersLib.datasets.preparation import resample_smoothed
from MaskWhatMattersLib.volumes import Volume, require_same_grid, require_scalar
from MaskWhatMattersLib.volumes.sitk_images import array_of, image_from_array

sitk: Any = SimpleITK  # it declares hardly any types

_MOST_VOXELS = 600_000  # registration gains nothing from more, and takes long
_SAMPLES = 20_000
_LEAST_SIDE = 12  # voxels of the coarsest image that is still registered
_DEMONS_STEPS = 40
_SMOOTH_MM = 8.0


def copy_by_registration(
    image: Volume, label_map: Volume, target: Volume, *, deformable: bool = False, seed: int = 0, threads: int = 2
) -> Volume:
    """The example's label map on the target's grid, moved along as the scans were registered.

    Args:
        image: The example's scan, [1, D, H, W].
        label_map: Integers on its voxels.
        target: Scan to be segmented, [1, D, H, W].
        deformable: Let symmetric demons follow the affine map; for scans of one kind, since it compares grey values.
        seed: Of the voxels that are compared.
        threads: Of SimpleITK; the sums depend on it in the last digits.

    Returns:
        Integers [1, D, H, W]; 0 where the example's scan does not reach.

    Raises:
        InputError: More than one channel.
        GeometryError: The label map has another grid than its scan.
    """
    require_same_grid(label_map, require_scalar(image), image.name or "the example")
    fixed, moving = _coarse_image(require_scalar(target)), _coarse_image(image)
    transform = _affine(fixed, moving, seed, threads)
    if deformable:
        transform = _demons(fixed, moving, transform)
    grid = image_from_array(np.zeros(target.spatial_shape, np.uint8), target.affine)
    labels = image_from_array(label_map.array[0], label_map.affine)
    moved = sitk.Resample(labels, grid, transform, sitk.sitkNearestNeighbor, 0.0, labels.GetPixelID())
    return target.with_array(array_of(moved).astype(label_map.array.dtype))


def _coarse_image(volume: Volume) -> Any:
    """Float32 image with isotropic voxels, as fine as the limit allows and not finer than the scan."""
    extent_mm = np.array(volume.spatial_shape[::-1]) * volume.spacing_mm
    spacing_mm = max(float(np.median(volume.spacing_mm)), float(np.cbrt(extent_mm.prod() / _MOST_VOXELS)))
    coarse = resample_smoothed(volume, spacing_mm)
    return image_from_array(coarse.array[0], coarse.affine)


def _affine(fixed: Any, moving: Any, seed: int, threads: int) -> Any:
    """Affine map from fixed to moving points: the better of two starts, middles of view or of brightness."""
    found = []
    for start in (sitk.CenteredTransformInitializerFilter.GEOMETRY, sitk.CenteredTransformInitializerFilter.MOMENTS):
        begin = sitk.CenteredTransformInitializer(fixed, moving, sitk.AffineTransform(3), start)
        method = _method(fixed, seed, threads)
        method.SetOptimizerAsRegularStepGradientDescent(fixed.GetSpacing()[0], 1e-2, 100, relaxationFactor=0.6)
        method.SetOptimizerScalesFromPhysicalShift()
        method.SetInitialTransform(begin, inPlace=False)
        transform = method.Execute(fixed, moving)
        found.append((method.GetMetricValue(), transform))
    return min(found, key=lambda pair: pair[0])[1]


def _demons(fixed: Any, moving: Any, affine: Any) -> Any:
    """The affine map, then what symmetric demons add (Vercauteren et al. 2009), on grey values made alike."""
    moved = sitk.Resample(moving, fixed, affine, sitk.sitkLinear)
    alike = sitk.HistogramMatching(moved, fixed, numberOfHistogramLevels=128, numberOfMatchPoints=8)
    demons = sitk.FastSymmetricForcesDemonsRegistrationFilter()
    demons.SetSmoothDisplacementField(True)
    demons.SetStandardDeviations(_SMOOTH_MM / fixed.GetSpacing()[0])
    field = None
    for factor in _factors(fixed):
        demons.SetNumberOfIterations(_DEMONS_STEPS)
        small, other = (_shrunk(image, factor) for image in (fixed, alike))
        begin = field if field is None else sitk.Resample(field, small, sitk.Transform(), sitk.sitkLinear)
        field = demons.Execute(small, other) if begin is None else demons.Execute(small, other, begin)
    bend = sitk.DisplacementFieldTransform(sitk.Cast(field, sitk.sitkVectorFloat64))
    return sitk.CompositeTransform([affine, bend])


def _method(fixed: Any, seed: int, threads: int) -> Any:
    """Metric, samples and pyramid of the affine registration."""
    method = sitk.ImageRegistrationMethod()
    method.SetNumberOfThreads(threads)
    method.SetMetricAsMattesMutualInformation(32)
    method.SetMetricSamplingStrategy(method.RANDOM)
    share = min(1.0, _SAMPLES / fixed.GetNumberOfPixels())
    method.SetMetricSamplingPercentage(share, seed=seed + 1)  # 0 would take the clock
    method.SetInterpolator(sitk.sitkLinear)
    factors = _factors(fixed)
    method.SetShrinkFactorsPerLevel(factors)
    method.SetSmoothingSigmasPerLevel([factor / 2 for factor in factors])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOff()
    return method


def _factors(image: Any) -> list[int]:
    """How many times coarser each level of a pyramid is."""
    return [factor for factor in (4, 2, 1) if min(image.GetSize()) // factor >= _LEAST_SIDE] or [1]


def _shrunk(image: Any, factor: int) -> Any:
    smooth = sitk.SmoothingRecursiveGaussian(image, [factor / 2 * step for step in image.GetSpacing()])
    return sitk.Shrink(smooth, [factor] * 3)
