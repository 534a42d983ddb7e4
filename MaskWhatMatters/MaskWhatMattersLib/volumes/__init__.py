"""Volumes: voxels with their place in the patient; light (numpy and SimpleITK, nothing else at import)."""

from MaskWhatMattersLib.volumes.checks import (
    replace_not_finite,
    require_3d,
    require_finite,
    require_same_grid,
    require_scalar,
)
from MaskWhatMattersLib.volumes.files import read_volume, write_volume
from MaskWhatMattersLib.volumes.geometry import to_ijk, to_ras
from MaskWhatMattersLib.volumes.grid import crop, crop_around, orient, pad
from MaskWhatMattersLib.volumes.intensity import CT_WINDOWS, percentile_range, percentile_window, window
from MaskWhatMattersLib.volumes.paths import base_name, find_volume_paths, is_volume_path
from MaskWhatMattersLib.volumes.resample import Interpolation, resample_like, resample_to_spacing, to_source
from MaskWhatMattersLib.volumes.volume import MODALITIES, Volume

__all__ = [
    "CT_WINDOWS",
    "MODALITIES",
    "Interpolation",
    "Volume",
    "base_name",
    "crop",
    "crop_around",
    "find_volume_paths",
    "is_volume_path",
    "orient",
    "pad",
    "percentile_range",
    "percentile_window",
    "read_volume",
    "replace_not_finite",
    "require_3d",
    "require_finite",
    "require_same_grid",
    "require_scalar",
    "resample_like",
    "resample_to_spacing",
    "to_ijk",
    "to_ras",
    "to_source",
    "window",
    "write_volume",
]
