"""`Volume`: voxels together with the place they have in the patient."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.volumes.geometry import Affine, checked_affine, direction_of, orientation_of, spacing_of

MODALITIES = ("CT", "MR", "XR", "other")
"""What `Volume.modality` may be, beside None for unknown; "other" is known to be none of the first three (PET, US)."""


@dataclass(frozen=True, eq=False)
class Volume:
    """Voxels and their affine; any orientation, oblique, anisotropic and left-handed included.

    Attributes:
        array: Numbers or truth values, [C, D, H, W]: channels, then k, j, i. Not copied.
        affine: float64 4x4 from (i, j, k) to RAS mm; copied and read-only.
        name: File name without extension, or name of the node; never a patient name.
        modality: One of `MODALITIES` where the file or the user says so.
        has_physical_scale: False for a picture, whose millimetres mean nothing.

    Raises:
        InputError: Not an array of four dimensions, empty, not numbers, or an unknown modality.
        GeometryError: See `checked_affine`.
    """

    array: NDArray[Any]
    affine: Affine
    name: str = ""
    modality: str | None = None
    has_physical_scale: bool = True

    def __post_init__(self) -> None:
        array = np.asarray(self.array)
        if array.ndim != 4:
            raise InputError(
                f"A volume has four dimensions, [channels, k, j, i]; found {array.ndim} with the shape {array.shape}. "
                "Add a first axis of length 1 to a scalar image, or choose one frame of a time series."
            )
        if array.size == 0:
            raise InputError(
                f"The volume has no voxels; found the shape {array.shape}. Load an image that is not empty."
            )
        if array.dtype.kind not in "biuf":
            raise InputError(
                f"Voxels must be numbers; found the type {array.dtype}. Convert them to integers or floats."
            )
        if self.modality is not None and self.modality not in MODALITIES:
            raise InputError(f"Unknown modality {self.modality!r}. Use one of {', '.join(MODALITIES)}, or None.")
        affine = checked_affine(self.affine)
        affine.flags.writeable = False
        object.__setattr__(self, "array", array)
        object.__setattr__(self, "affine", affine)

    @property
    def channels(self) -> int:
        """Number of values per voxel."""
        return int(self.array.shape[0])

    @property
    def spatial_shape(self) -> tuple[int, int, int]:
        """Number of voxels along k, j and i: (D, H, W)."""
        depth, height, width = self.array.shape[1:]
        return int(depth), int(height), int(width)

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Length of one step along i, j and k, mm."""
        return spacing_of(self.affine)

    @property
    def origin_ras(self) -> NDArray[np.float64]:
        """Centre of the first voxel, RAS mm, [3]."""
        return np.asarray(self.affine[:3, 3])

    @property
    def direction(self) -> NDArray[np.float64]:
        """Unit vectors of i, j and k as columns, RAS, [3, 3]."""
        return direction_of(self.affine)

    @property
    def orientation(self) -> str:
        """Where i, j and k lead, for example "RAS"; the nearest one for an oblique grid."""
        return orientation_of(self.affine)

    @property
    def is_single_slice(self) -> bool:
        """Whether the volume is one voxel thick along one axis or more."""
        return 1 in self.spatial_shape

    @property
    def voxel_volume_ml(self) -> float:
        """Volume of one voxel, mL."""
        return float(abs(np.linalg.det(self.affine[:3, :3]))) / 1000.0

    def with_array(self, array: NDArray[Any]) -> Volume:
        """Other values on the same grid.

        Args:
            array: [C, D, H, W] with the same D, H and W; C may differ.

        Raises:
            InputError: Another grid size.
        """
        if tuple(array.shape[1:]) != self.spatial_shape:
            raise InputError(
                f"The array must be [channels, {', '.join(map(str, self.spatial_shape))}] to lie on the same grid; "
                f"found {tuple(array.shape)}. Resample it to the volume first."
            )
        return replace(self, array=array)
