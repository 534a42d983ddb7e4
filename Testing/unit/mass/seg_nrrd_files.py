"""Writes segmentations the way Slicer does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from MaskWhatMattersLib.volumes.geometry import lps_from_ras

LIVER = (
    "TerminologyEntry:Segmentation category and type - DICOM master list~SCT^123037004^Anatomical Structure"
    "~SCT^10200004^Liver~SCT^7771000^Left~Anatomic codes - DICOM master list~^^~^^|"
)


def write_seg_nrrd(path: Path, layers: np.ndarray, affine: np.ndarray, segments: Sequence[dict[str, str]]) -> Path:
    """A .seg.nrrd file.

    Args:
        path: Of the file.
        layers: uint8 [L, D, H, W]; one layer is stored without an axis for it.
        affine: (i, j, k) to RAS mm.
        segments: Fields of each: Name, LabelValue, Layer, Color, Tags.
    """
    lps = lps_from_ras(affine)
    axes = [f"({','.join(map(str, lps[:3, axis]))})" for axis in range(3)]
    sizes = [str(length) for length in reversed(layers.shape[1:])]
    kinds = ["domain"] * 3
    if len(layers) > 1:
        axes, sizes, kinds = ["none", *axes], [str(len(layers)), *sizes], ["list", *kinds]
    header = [
        "NRRD0004",
        "type: unsigned char",
        f"dimension: {len(sizes)}",
        "space: left-posterior-superior",
        f"sizes: {' '.join(sizes)}",
        f"space directions: {' '.join(axes)}",
        f"kinds: {' '.join(kinds)}",
        "encoding: raw",
        f"space origin: ({','.join(map(str, lps[:3, 3]))})",
    ]
    for number, segment in enumerate(segments):
        header += [f"Segment{number}_{key}:={value}" for key, value in segment.items()]
    voxels = np.moveaxis(layers, 0, -1) if len(layers) > 1 else layers[0]
    path.write_bytes("\n".join([*header, "", ""]).encode() + np.ascontiguousarray(voxels, np.uint8).tobytes())
    return path
