"""Random grids and small real files that the tests of `volumes` share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk  # noqa: N813
from hypothesis import strategies as st

from MaskWhatMattersLib.volumes import Volume

OBLIQUE = np.array(
    [[0.36, 0.48, -0.8, 12.5], [-0.8, 0.6, 0.0, -43.25], [0.48, 0.64, 0.6, 101.0], [0, 0, 0, 1]]
) @ np.diag([0.7, 0.7, 2.5, 1.0])


def rotation(x: float, y: float, z: float) -> np.ndarray:
    """Turn about R, then A, then S, radians."""
    about_x = [[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]]
    about_y = [[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]]
    about_z = [[np.cos(z), -np.sin(z), 0], [np.sin(z), np.cos(z), 0], [0, 0, 1]]
    return np.array(about_z) @ about_y @ about_x


@st.composite
def affines(draw: Any, reach_mm: float = 500.0) -> np.ndarray:
    """Voxel-to-RAS: axis swaps, flips (half of them left-handed), oblique angles, 0.3 to 6 mm."""
    axes = np.eye(3)[list(draw(st.permutations(range(3))))]
    signs = [draw(st.sampled_from((-1.0, 1.0))) for _ in range(3)]
    angles = [draw(st.sampled_from((0.0, np.pi / 4)) | st.floats(-np.pi, np.pi)) for _ in range(3)]
    spacing = [draw(st.floats(0.3, 6.0)) for _ in range(3)]
    affine = np.eye(4)
    affine[:3, :3] = rotation(*angles) @ axes * signs * spacing
    affine[:3, 3] = [draw(st.floats(-reach_mm, reach_mm)) for _ in range(3)]
    return affine


@st.composite
def volumes(draw: Any, dtypes: tuple[str, ...] = ("int16", "uint8", "float32"), **limits: float) -> Volume:
    """Small volumes whose voxels all differ, so that a wrong order shows."""
    shape = [1, *(draw(st.integers(1, 7)) for _ in range(3))]
    array = np.arange(np.prod(shape)).reshape(shape).astype(draw(st.sampled_from(dtypes)))
    return Volume(array, draw(affines(**limits)))


def counted(depth: int = 4, height: int = 5, width: int = 6, affine: np.ndarray = OBLIQUE, **fields: Any) -> Volume:
    """A volume whose voxels are numbered."""
    array = np.arange(depth * height * width, dtype=np.int16).reshape(1, depth, height, width)
    return Volume(array, affine, **fields)


def write_series(
    folder: Path, volume: Volume, *, series: str = "1.2.3", modality: str = "CT", shift_mm: float = 0.0, **more: str
) -> list[Path]:
    """Write each k of a volume as a DICOM slice; `shift_mm` moves every slice along j, as a tilted gantry does."""
    folder.mkdir(parents=True, exist_ok=True)
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ volume.affine
    i_mm, j_mm, _ = volume.spacing_mm
    along_i, along_j = affine[:3, 0] / i_mm, affine[:3, 1] / j_mm
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    paths = []
    for k, plane in enumerate(volume.array[0]):
        image = sitk.GetImageFromArray(plane[np.newaxis])
        image.SetSpacing((i_mm, j_mm, volume.spacing_mm[2]))
        position = affine[:3, 3] + k * affine[:3, 2] + k * shift_mm * along_j
        tags = {
            "0008|0060": modality,
            "0008|103e": f"series {series}",
            "0020|000d": "1.2.840.1",
            "0020|000e": f"1.2.840.{series}",
            "0008|0018": f"1.2.840.{series}.{k + 1}",
            "0020|0013": str(k + 1),
            "0020|0032": "\\".join(f"{value:.10g}" for value in position),
            "0020|0037": "\\".join(f"{value:.10g}" for value in (*along_i, *along_j)),
            **more,
        }
        for tag, value in tags.items():
            image.SetMetaData(tag, value)
        # Names against the order of the slices: the order must come from the headers.
        path = folder / f"s{series.replace('.', '-')}_{99 - k:02d}.dcm"
        writer.SetFileName(str(path))
        writer.Execute(image)
        paths.append(path)
    return paths


@contextmanager
def full_disk(at_most_bytes: int) -> Iterator[None]:
    """No file may grow beyond a size: the write fails just as on a full disk."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (at_most_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
