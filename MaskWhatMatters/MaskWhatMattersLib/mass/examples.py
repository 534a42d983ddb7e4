"""Examples from label maps, and what a set of examples has in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.mass.example import MOST_LABELS, Example, TaskLabel
from MaskWhatMattersLib.volumes import Volume, require_3d, require_finite, require_same_grid, require_scalar
from MaskWhatMattersLib.volumes.label_values import whole_values

_MOST_VALUES = 65536
_A_PART = 0.05
"""Share of a structure from which a piece apart is a part of it, and not a stray voxel."""


def example_from_label_map(
    image: Volume,
    label_map: Volume,
    names: Mapping[int, str] | None = None,
    labels: Sequence[TaskLabel] | None = None,
) -> Example:
    """An example from a scan and a label map on its voxels.

    A label map of several channels is one mask per channel, which may overlap; its channels count as the values 1, 2...

    Args:
        image: Scalar scan.
        label_map: Whole numbers from 0 to 65535, on the voxels of the scan.
        names: What values mean; a value without a name is called "label 3".
        labels: Only these; all values of the label map when None. One that is not in the label map stays empty.

    Raises:
        InputError: No whole numbers, nothing marked, more labels than a task may have, or names of absent values.
        GeometryError: Another grid than the scan's.
    """
    called = image.name or "the example"
    require_same_grid(label_map, image, called)
    values = _values(label_map, called)
    if labels is None:
        _require_known(names or {}, values, called)
        labels = [TaskLabel(value=value, name=(names or {}).get(value, f"label {value}")) for value in values]
    _require_few(len(labels), called)
    masks = np.zeros((max(1, len(labels)), *image.spatial_shape), np.uint8)
    for place, label in enumerate(labels):
        masks[place] = _mask_of(label_map, label.value)
    if not labels or not masks.any():
        raise InputError(
            f"Nothing is marked in the label map of {called}; it holds the values {_listed([0, *values])}, and wanted "
            f"are {_listed([label.value for label in labels]) or 'values above 0'}. Choose a label that is drawn there."
        )
    return Example(image, image.with_array(masks), tuple(labels))


@dataclass(frozen=True)
class SharedLabels:
    """What a set of examples agrees on.

    Attributes:
        labels: All labels of the examples, by value, with volume and number of parts as found in the masks.
        places: For each example, the place of each of its masks among `labels`.
        notes: On labels that are empty in some examples, and on overlaps.
    """

    labels: tuple[TaskLabel, ...]
    places: tuple[tuple[int, ...], ...]
    notes: tuple[str, ...]


def shared_labels(examples: Sequence[Example]) -> SharedLabels:
    """The labels of a set of examples, measured.

    Raises:
        InputError: No example, labels that contradict each other, a label that is empty everywhere, too many labels, or
            scans that cannot be used; all problems together.
        GeometryError: Masks on another grid than their scan.
    """
    if not examples:
        raise InputError("At least one example is needed; found none. Choose a scan and what is marked on it.")
    problems: list[str] = []
    notes: list[str] = []
    found: dict[int, TaskLabel] = {}
    for number, example in enumerate(examples, 1):
        problems += _problems_of(example, number)
        for label in example.labels:
            first = found.setdefault(label.value, label)
            if first.name != label.name:
                problems.append(
                    f'Example {number} calls the value {label.value} "{label.name}", an earlier one "{first.name}". '
                    "Give the same structure the same value and name in all examples."
                )
    by_name: dict[str, int] = {}
    for label in found.values():
        if by_name.setdefault(label.name, label.value) != label.value:
            problems.append(
                f'"{label.name}" has the value {by_name[label.name]} in one example and {label.value} in another. Give '
                "the same structure the same value in all examples."
            )
    if len(found) > MOST_LABELS:
        problems.append(_too_many(len(found), "the examples"))
    if problems:
        raise InputError("\n".join(problems))
    values = sorted(found)
    measured = [_measured(examples, found[value], notes) for value in values]
    empty = [label.name for label in measured if label.volume_ml == 0]
    if empty:
        raise InputError(
            f"Nothing is drawn in {', '.join(empty)}; found no voxel in any of {len(examples)} examples. Draw it in at "
            "least one example, or leave it out."
        )
    notes += _overlaps(examples)
    places = tuple(tuple(values.index(label.value) for label in example.labels) for example in examples)
    return SharedLabels(tuple(measured), places, tuple(notes))


def _problems_of(example: Example, number: int) -> list[str]:
    """Why a scan and its masks cannot be an example."""
    problems = []
    try:
        require_finite(require_3d(require_scalar(example.image)))
        require_same_grid(example.masks, example.image, f"example {number}")
    except InputError as error:
        problems.append(f"Example {number}: {error}")
    if example.masks.channels != len(example.labels):
        problems.append(
            f"Example {number} must have one mask per label; found {example.masks.channels} masks and "
            f"{len(example.labels)} labels. Give as many of one as of the other."
        )
    values = [label.value for label in example.labels]
    twice = sorted({value for value in values if values.count(value) > 1})
    if twice:
        problems.append(f"Example {number} has the value {_listed(twice)} twice. Give each label a value of its own.")
    return problems


def _measured(examples: Sequence[Example], label: TaskLabel, notes: list[str]) -> TaskLabel:
    """A label with its mean volume and whether it has several parts in any example."""
    volumes, several = [], label.several_parts
    for number, example in enumerate(examples, 1):
        for mask, other in zip(example.masks.array, example.labels, strict=True):
            if other.value != label.value:
                continue
            voxels = np.count_nonzero(mask)
            if voxels:
                volumes.append(voxels * example.masks.voxel_volume_ml)
                several = several or _has_parts(mask)
            else:
                notes.append(f"{label.name} is not drawn in example {number}; it is learned from the others.")
    mean = float(np.mean(volumes)) if volumes else 0.0
    return label.model_copy(update={"volume_ml": mean, "several_parts": several})


def _has_parts(mask: NDArray[np.uint8]) -> bool:
    """Whether a mask has pieces apart (26 neighbours), stray voxels aside."""
    box = ndimage.find_objects((mask != 0).astype(np.uint8))[0]
    pieces, count = ndimage.label(mask[box], structure=np.ones((3, 3, 3)))
    if count < 2:
        return False
    sizes = np.bincount(pieces.ravel())[1:]
    return int(np.count_nonzero(sizes >= _A_PART * sizes.sum())) > 1


def _overlaps(examples: Sequence[Example]) -> list[str]:
    """One sentence per pair of labels that share voxels in an example."""
    pairs: dict[tuple[str, str], None] = {}
    for example in examples:
        count = np.zeros(example.masks.spatial_shape, np.uint8)
        for mask in example.masks.array:
            count += mask != 0
        shared = example.masks.array[:, count > 1] != 0
        for (one, first), (other, second) in combinations(zip(example.labels, shared, strict=True), 2):
            if (first & second).any():
                pairs[(one.name, other.name)] = None
    return [
        f"{one} and {other} overlap in an example; in a label map, a voxel gets the more probable of them."
        for one, other in pairs
    ]


def _values(label_map: Volume, called: str) -> list[int]:
    """Values above 0; of several channels, their numbers from 1."""
    if label_map.channels > 1:
        return [place + 1 for place, mask in enumerate(label_map.array) if mask.any()]
    values = whole_values(label_map.array, _MOST_VALUES)
    if values is None or (values and (values[0] < 0 or values[-1] >= _MOST_VALUES)):
        low, high = float(np.min(label_map.array)), float(np.max(label_map.array))
        raise InputError(
            f"The label map of {called} must hold whole numbers from 0 to {_MOST_VALUES - 1}; found values from "
            f"{low:g} to {high:g} of the type {label_map.array.dtype}. Choose the label map, not a scan."
        )
    return [value for value in values if value]


def _mask_of(label_map: Volume, value: int) -> NDArray[np.bool_]:
    if label_map.channels == 1:
        return np.asarray(label_map.array[0] == value)
    if value > label_map.channels:
        return np.zeros(label_map.spatial_shape, np.bool_)
    return np.asarray(label_map.array[value - 1] != 0)


def _require_known(names: Mapping[int, str], values: Sequence[int], called: str) -> None:
    unknown = [value for value in names if value not in values]
    if unknown:
        raise InputError(
            f"The label map of {called} does not hold {_listed(unknown)}; its values are {_listed(values) or 'all 0'}. "
            "Name only values that are there."
        )


def _require_few(count: int, called: str) -> None:
    if count > MOST_LABELS:
        raise InputError(_too_many(count, f"the label map of {called}"))


def _too_many(count: int, where: str) -> str:
    return (
        f"A task has at most {MOST_LABELS} labels; {where} hold{'s' if where.startswith('the label') else ''} {count}. "
        "Choose those that you need."
    )


def _listed(values: Sequence[int], most: int = 12) -> str:
    return ", ".join(map(str, values[:most])) + (", ..." if len(values) > most else "")
