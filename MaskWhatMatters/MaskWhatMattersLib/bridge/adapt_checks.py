"""Whether scans and labels fit together: the check mark of each row, and what is refused before anything starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from MaskWhatMattersLib.bridge.adapt_cases import Pair, is_node, name_of, repeated_scans, require_node
from MaskWhatMattersLib.bridge.nodes import Node, local_affine, require_voxels, world_affine, world_from_parent
from MaskWhatMattersLib.bridge.regions import segment_names
from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.volumes.geometry import Affine

_SAME_PLACE_MM = 0.01


@dataclass(frozen=True)
class GridCheck:
    """Whether a label lies on the grid of its scan.

    Attributes:
        status: "same", "resampled" (it will be), "unknown" (the training looks) or "refused".
        reason: Why it is refused, and what to do; empty otherwise.
    """

    status: Literal["same", "resampled", "unknown", "refused"]
    reason: str = ""


def check_pair(scene: Any, pair: Pair) -> GridCheck:
    """Look at a pair without reading all its voxels; quick enough to be done when a row is added."""
    try:
        if is_node(pair.image) != is_node(pair.label):
            return GridCheck("refused", "Scan and label must both be in the scene, or both be files.")
        return _check_nodes(scene, pair) if is_node(pair.image) else _check_files(pair)
    except InputError as error:
        return GridCheck("refused", str(error))


def require_usable(scene: Any, labelled: Sequence[Pair], unlabelled: Sequence[str]) -> None:
    """Refuse what cannot be trained with, all problems together.

    Raises:
        InputError: No pair, a pair that does not fit together, or a scan that is there twice.
    """
    if not labelled:
        raise InputError("There is no labelled scan to learn from. Add at least one volume with its segmentation.")
    problems = []
    for pair in labelled:
        check = check_pair(scene, pair)
        if check.status == "refused":
            problems.append(f"{name_of(scene, pair.image)}: {check.reason}")
    problems += [f"{name_of(scene, one)} is no longer in the scene." for one in unlabelled if _is_gone(scene, one)]
    problems += repeated_scans(scene, labelled, unlabelled)
    if problems:
        raise InputError("\n".join(problems))


def _is_gone(scene: Any, source: str) -> bool:
    return is_node(source) and scene.GetNodeByID(source) is None


def _check_nodes(scene: Any, pair: Pair) -> GridCheck:
    volume, label = require_node(scene, pair.image), require_node(scene, pair.label)
    shape: tuple[int, ...] = tuple(reversed(require_voxels(volume).GetDimensions()))
    affine = world_affine(volume)
    if label.IsA("vtkMRMLSegmentationNode"):
        ids = [segment_id for segment_id, _name in segment_names(label)]
        if not ids or (pair.segment and pair.segment not in ids):
            return GridCheck("refused", "The segmentation has no such segment. Draw it, or choose another one.")
        grid = _reference_grid(label)
    else:
        grid = tuple(reversed(require_voxels(label).GetDimensions())), world_affine(label)
    if not _overlap(volume, label):
        return GridCheck("refused", "The label lies outside the volume. Choose the one that was drawn on this volume.")
    is_same = grid is not None and grid[0] == shape and _same_place(shape, grid[1], affine)
    return GridCheck("same" if is_same else "resampled")


def _reference_grid(segmentation: Node) -> tuple[tuple[int, ...], Affine] | None:
    """(D, H, W) and affine in the world of the volume that a segmentation was drawn on."""
    source = segmentation.GetNodeReference(segmentation.GetReferenceImageGeometryReferenceRole())
    if source is None or source.GetImageData() is None:
        return None
    shape = tuple(reversed(source.GetImageData().GetDimensions()))
    return shape, world_from_parent(segmentation) @ local_affine(source)


def _overlap(one: Node, other: Node) -> bool:
    """Whether the boxes around two nodes in the world meet; the exact look is taken when the training starts."""
    first, second = [0.0] * 6, [0.0] * 6
    one.GetRASBounds(first)
    other.GetRASBounds(second)
    lower, upper = np.maximum(first[::2], second[::2]), np.minimum(first[1::2], second[1::2])
    return bool(np.all(lower <= upper))


def _check_files(pair: Pair) -> GridCheck:
    grids = [_header(Path(path)) for path in (pair.image, pair.label)]
    if grids[0] is None or grids[1] is None:
        return GridCheck("unknown")
    (shape, affine), (label_shape, label_affine) = grids[0], grids[1]
    if shape == label_shape and _same_place(shape, affine, label_affine):
        return GridCheck("same")
    return GridCheck(
        "refused",
        f"The label map has another grid than its scan ({_size(label_shape)} voxels, the scan {_size(shape)}, or "
        "another place). Load both into the scene and add them from there: then the label is resampled.",
    )


def _header(path: Path) -> tuple[tuple[int, ...], Affine] | None:
    """(D, H, W) and affine that a file's header names; None where only reading it all would tell.

    Raises:
        InputError: The file is missing or damaged.
    """
    import SimpleITK

    sitk: Any = SimpleITK  # it declares hardly any types
    if path.is_dir():
        return None
    if not path.is_file():
        raise InputError(f"The file {path} does not exist any more. Remove the row, or put the file back.")
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError:
        return None  # the library's own reader says what is wrong with it
    if reader.GetDimension() != 3:
        return None
    affine = np.eye(4)
    affine[:3, :3] = np.array(reader.GetDirection()).reshape(3, 3) * np.array(reader.GetSpacing())
    affine[:3, 3] = reader.GetOrigin()
    return tuple(reversed(reader.GetSize())), affine


def _same_place(shape: Sequence[int], one: Affine, other: Affine) -> bool:
    """Whether the corners of a grid (D, H, W) lie in the same places, to a hundredth of a millimetre."""
    last = np.array(shape[::-1]) - 1
    corners = np.array([[*(last * choice), 1] for choice in np.ndindex(2, 2, 2)]).T
    return bool(np.linalg.norm((one @ corners - other @ corners)[:3], axis=0).max() <= _SAME_PLACE_MM)


def _size(shape: Sequence[int]) -> str:
    return " x ".join(map(str, reversed(shape)))
