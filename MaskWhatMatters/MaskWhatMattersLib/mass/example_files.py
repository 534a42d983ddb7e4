"""Examples from files: scans, each with a label map or a segmentation of Slicer (.seg.nrrd) beside it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from MaskWhatMattersLib.errors import GeometryError, InputError
from MaskWhatMattersLib.mass.example import MOST_LABELS, Example, TaskLabel
from MaskWhatMattersLib.mass.example_labels import AgreedLabels, FileLabels
from MaskWhatMattersLib.mass.seg_nrrd import FileSegment, read_segments
from MaskWhatMattersLib.volumes import Volume, read_volume, require_same_grid, require_scalar, resample_like
from MaskWhatMattersLib.volumes.label_values import whole_values

_MOST_VALUES = 65535


@dataclass(frozen=True, eq=False)
class ReadExamples:
    """What files hold.

    Attributes:
        examples: One per scan, in the order of the files.
        notes: What the user should know about how labels were matched, in sentences.
    """

    examples: tuple[Example, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class _Pair:
    path: Path
    image: Volume
    label_map: Volume
    labels: FileLabels


def read_examples(
    files: Sequence[tuple[Path, Path]],
    *,
    names: Mapping[int, str] | None = None,
    chosen: Iterable[str] = (),
    modality: str | None = None,
    replace_nan: float | None = None,
) -> ReadExamples:
    """Read scans with their label maps, and agree on what the labels are called.

    Segments of .seg.nrrd files are matched by name: the value in the first file that has it is the one of the task,
    or the next free number where two segments have the same. Label maps without names are matched by value. A label
    map that covers a part of its scan on the scan's own voxels, as Slicer may save it, is filled up with background.

    Args:
        files: Scan and label map of each example.
        names: Value in the label maps -> name, where the user gave some.
        chosen: Values or names to use; all when empty.
        modality: As in `read_volume`, of all scans.
        replace_nan: As in `read_volume`.

    Raises:
        InputError: Files that cannot be used, labels that are not whole numbers, no such label, an empty one that was
            chosen, or more labels than a task may have; the problems of all files at once.
    """
    problems: list[str] = []
    pairs: list[_Pair] = []
    for image, label_map in files:
        try:
            pairs.append(_read_pair(image, label_map, modality, replace_nan))
        except InputError as error:
            problems.append(_named(label_map, str(error)))
    if problems:
        raise InputError(" ".join(problems))
    agreed = AgreedLabels([pair.labels for pair in pairs], dict(names or {}))
    wanted = agreed.chosen(tuple(chosen))
    if len(wanted) > MOST_LABELS:
        raise InputError(
            f"A task has at most {MOST_LABELS} labels; found {len(wanted)} ({agreed.listed()}). Choose those that "
            "matter, by value or name (--labels 1,5)."
        )
    examples = []
    for index, pair in enumerate(pairs):
        parts = agreed.parts_of(index, wanted)
        if not parts:
            problems.append(f"{pair.path} holds none of the chosen labels; found {pair.labels.listed()}. Leave it out.")
        else:
            examples.append(_example(pair, parts))
    if problems:
        raise InputError(" ".join(problems))
    return ReadExamples(tuple(examples), agreed.notes)


def _read_pair(image_path: Path, label_path: Path, modality: str | None, replace_nan: float | None) -> _Pair:
    image = require_scalar(read_volume(image_path, modality=modality, replace_nan=replace_nan))
    label_map = _filled_up(read_volume(label_path), image)
    require_same_grid(label_map, image, image_path.name)
    values: list[set[int]] = []
    for layer in label_map.array:
        found = whole_values(layer, _MOST_VALUES)
        if found is None or (found and not 0 <= found[0] <= found[-1] <= _MOST_VALUES):
            raise InputError(
                f"A label map holds whole numbers from 0 to {_MOST_VALUES}; found values from {layer.min():g} to "
                f"{layer.max():g}. Check that scan and label map were not swapped (--reference IMAGE LABELMAP)."
            )
        values.append({value for value in found if value})
    segments = read_segments(label_path)
    if not segments and label_map.channels > 1:
        raise InputError(
            f"Found {label_map.channels} channels without names. Save the segmentation as .seg.nrrd from Slicer, or as "
            "one label map."
        )
    has_names = bool(segments)
    if not has_names:
        segments = tuple(FileSegment(f"label {value}", value) for value in sorted(values[0]))
    filled = tuple(s for s in segments if s.layer < len(values) and s.value in values[s.layer])
    if not filled:
        raise InputError("It marks nothing: every voxel is 0. Segment something in it, or leave it out.")
    empty = tuple(segment.name for segment in segments if segment not in filled)
    return _Pair(label_path, image, label_map, FileLabels(label_path, filled, empty, has_names))


def _filled_up(label_map: Volume, image: Volume) -> Volume:
    """On the scan's grid where the voxels of both coincide; otherwise as it is."""
    try:
        require_same_grid(label_map, image, "")
    except GeometryError:
        steps = np.linalg.inv(label_map.affine) @ image.affine
        whole = np.rint(steps)
        is_turned_only = bool((np.abs(whole[:3, :3]).sum(0) == 1).all() and (np.abs(whole[:3, :3]).sum(1) == 1).all())
        last = np.array([*image.spatial_shape[::-1], 1]) - [1, 1, 1, 0]
        apart = np.abs((steps - whole) @ np.stack([[0, 0, 0, 1], last], 1)).max()
        if is_turned_only and apart < 1e-3:
            return resample_like(label_map, image, "nearest")
    return label_map


def _example(pair: _Pair, parts: Mapping[FileSegment, TaskLabel]) -> Example:
    masks = np.stack([pair.label_map.array[segment.layer] == segment.value for segment in parts])
    return Example(pair.image, pair.image.with_array(masks.astype(np.uint8)), tuple(parts.values()))


def _named(path: Path, text: str) -> str:
    return text if text.startswith(str(path)) else f"{path}: {text}"
