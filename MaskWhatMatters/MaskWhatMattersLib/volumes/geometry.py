"""Affines from voxel indices (i, j, k) to RAS millimetres, and the only place where RAS and LPS meet."""

from __future__ import annotations

from itertools import permutations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from MaskWhatMattersLib.errors import GeometryError

Affine = NDArray[np.float64]

SHEAR_TOLERANCE = 1e-3
"""Largest |cosine| between two voxel axes. Direction cosines rounded to three decimals stay below it; a real shear
(gantry tilt, an affine registration) is far above. Axes within the tolerance are kept as they are, not corrected."""

_AXIS_LETTERS = (("L", "R"), ("P", "A"), ("I", "S"))
_LPS_FROM_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def checked_affine(affine: ArrayLike) -> Affine:
    """A float64 copy of an affine that a medical image can have.

    Raises:
        GeometryError: Not 4x4, not finite, no last row (0, 0, 0, 1), a voxel axis of no length, or sheared.
    """
    matrix = np.array(affine, dtype=np.float64)
    if matrix.shape != (4, 4):
        raise GeometryError(
            f"The affine must be a 4x4 matrix; found the shape {matrix.shape}. Give voxel-to-RAS as 4x4."
        )
    if not np.isfinite(matrix).all():
        raise GeometryError(
            f"The position of the image is not finite; found the affine {matrix.tolist()}. "
            "The header is damaged: export the image again from its source."
        )
    if not np.array_equal(matrix[3], [0, 0, 0, 1]):
        raise GeometryError(
            f"The last row of the affine must be 0 0 0 1; found {matrix[3].tolist()}. Correct the affine."
        )
    lengths = np.linalg.norm(matrix[:3, :3], axis=0)
    if (lengths < 1e-9).any():
        raise GeometryError(
            f"A voxel has no size; found a spacing of {lengths.tolist()} mm. Correct the spacing in the header."
        )
    cosines = np.abs(np.triu(_gram(matrix[:3, :3] / lengths), k=1))
    if cosines.max() > SHEAR_TOLERANCE:
        angle = float(np.degrees(np.arccos(min(1.0, cosines.max()))))
        raise GeometryError(
            f"The voxel axes are sheared: two of them meet at {angle:.2f} degrees instead of 90. "
            "Resample the image to a rectangular grid first (in Slicer: the module Resample Image)."
        )
    return matrix


def _gram(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(matrix.T @ matrix)


def spacing_of(affine: Affine) -> tuple[float, float, float]:
    """Length of one step along i, j and k, mm."""
    i, j, k = np.linalg.norm(affine[:3, :3], axis=0)
    return float(i), float(j), float(k)


def direction_of(affine: Affine) -> NDArray[np.float64]:
    """The affine's 3x3 without spacing: unit vectors of i, j and k as columns, in RAS.

    What is below the precision of a unit vector is 0: with entries such as 1e-300 ITK's inverse of the direction fails
    without an error, and every voxel then lies outside.
    """
    direction = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    return np.where(np.abs(direction) < np.finfo(np.float64).eps, 0.0, direction)


def to_ras(ijk: ArrayLike, affine: Affine) -> NDArray[np.float64]:
    """World position in mm of voxel indices, [..., 3] to [..., 3]."""
    return np.asarray(np.asarray(ijk, dtype=np.float64) @ affine[:3, :3].T + affine[:3, 3])


def to_ijk(ras: ArrayLike, affine: Affine) -> NDArray[np.float64]:
    """Continuous voxel index of world positions in mm, [..., 3] to [..., 3]."""
    offset = np.asarray(ras, dtype=np.float64) - affine[:3, 3]
    return np.asarray(np.linalg.solve(affine[:3, :3], offset[..., None])[..., 0])


def lps_from_ras(affine: Affine) -> Affine:
    """The same grid as an affine to LPS, the world of SimpleITK and DICOM."""
    return np.asarray(_LPS_FROM_RAS @ affine)


def ras_from_lps(affine: Affine) -> Affine:
    """The same grid as an affine to RAS, the world of Slicer and NIfTI."""
    return np.asarray(_LPS_FROM_RAS @ affine)


def nearest_axes(affine: Affine) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
    """For i, j and k: the world axis (0 R, 1 A, 2 S) that it follows best, and whether up (1) or down (-1)."""
    direction = direction_of(affine)
    scores = [[_axis_score(direction[:, column], world) for world in range(3)] for column in range(3)]
    best = max(permutations(range(3)), key=lambda worlds: sum(scores[column][worlds[column]] for column in range(3)))
    (i, j, k) = ((world, 1 if direction[world, column] >= 0 else -1) for column, world in enumerate(best))
    return i, j, k


def _axis_score(axis: NDArray[np.float64], world: int) -> float:
    """How well a voxel axis follows a world axis.

    The second term decides ties (grids turned by 45 degrees) from the axis itself, so that an axis goes to the same
    world axis however the columns are ordered or flipped; without it, orienting there and back could differ.
    """
    upward = axis if axis[np.flatnonzero(np.abs(axis) > 1e-9)[0]] > 0 else -axis
    return float(abs(axis[world]) + 1e-6 * (world + 1) * (upward @ (1.0, 0.7, 0.3)))


def orientation_of(affine: Affine) -> str:
    """Where i, j and k lead, as three letters: "RAS", "LPS", "PIR" and so on; the nearest one for an oblique grid."""
    return "".join(_AXIS_LETTERS[world][sign > 0] for world, sign in nearest_axes(affine))


def axes_of_orientation(orientation: str) -> tuple[tuple[int, int], ...]:
    """The axes that three letters name, as in `nearest_axes`.

    Raises:
        GeometryError: Not one letter of each of R/L, A/P and S/I.
    """
    letters = {
        letter: (world, sign)
        for world, pair in enumerate(_AXIS_LETTERS)
        for letter, sign in zip(pair, (-1, 1), strict=True)
    }
    axes = tuple(letters[letter] for letter in orientation.upper() if letter in letters)
    if len(orientation) != 3 or len({world for world, _ in axes}) != 3:
        raise GeometryError(
            f"An orientation is three letters, one of each of R/L, A/P and S/I; found {orientation!r}. Use RAS."
        )
    return axes
