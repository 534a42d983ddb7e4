"""What the user marked in volumes of the scene, as examples: names, colours and terms of the segments go with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import vtk

from MaskWhatMattersLib.bridge.adapt_cases import LABEL_CLASSES, Pair, require_node
from MaskWhatMattersLib.bridge.adapt_checks import check_pair
from MaskWhatMattersLib.bridge.nodes import Array, Node, nameless, volume_from_node, voxels_of
from MaskWhatMattersLib.bridge.regions import segment_mask, segment_names
from MaskWhatMattersLib.bridge.segmentations import Color
from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.volumes import Volume, resample_like
from MaskWhatMattersLib.volumes.label_values import whole_values

if TYPE_CHECKING:
    from MaskWhatMattersLib.mass.example import Example

_YELLOW = (1.0, 0.8, 0.2)
_MOST_VALUES = 4096  # a scan that was loaded as a label map has more
_values: dict[tuple[str, int], list[int]] = {}  # of label maps, by node and time of its voxels


@dataclass(frozen=True)
class Marked:
    """One structure that is marked in a segmentation or a label map.

    Attributes:
        key: ID of the segment, or value in the label map as text.
        name: As the user called it.
        color: Red, green, blue, 0 to 1.
        terminology: Slicer's entry; empty without one.
    """

    key: str
    name: str
    color: Color
    terminology: str = ""


def marked_in(node: Node) -> list[Marked]:
    """What is marked in a segmentation or a label map, in its order."""
    if node.IsA("vtkMRMLSegmentationNode"):
        return [_segment(node, segment_id, name) for segment_id, name in segment_names(node)]
    colors = node.GetDisplayNode().GetColorNode() if node.GetDisplayNode() is not None else None
    return [_value(value, colors) for value in _label_values(node) if value > 0]


def structure_names(label_nodes: Sequence[Node]) -> list[str]:
    """Names of all structures, each once; names that differ only in capitals are the same."""
    found: dict[str, str] = {}
    for node in label_nodes:
        for one in marked_in(node):
            found.setdefault(_key(one.name), one.name)
    return list(found.values())


def same_name(one: str, other: str) -> bool:
    """Whether two segments are called the same, capitals aside."""
    return _key(one) == _key(other)


class ExampleReader:
    """Scans with what is marked on them, read one by one; what all of them must agree on is looked at first.

    Args:
        scene: Where the nodes are.
        pairs: IDs of all scans and of their segmentations or label maps.
        segments: Names of the structures that are wanted; None takes all.
        replace_nan: As in `volume_from_node`.
        is_remote: Leave out the names of the scans.

    Raises:
        InputError: Something cannot be used; all problems together.
    """

    def __init__(
        self,
        scene: Any,
        pairs: Sequence[Pair],
        segments: Sequence[str] | None = None,
        *,
        replace_nan: bool | None = False,
        is_remote: bool = False,
    ) -> None:
        from MaskWhatMattersLib.mass.example import MOST_LABELS

        self._scene, self._replace_nan, self._is_remote = scene, replace_nan, is_remote
        _require_usable(scene, pairs)
        self._wanted = _chosen(_values_by_name([scene.GetNodeByID(pair.label) for pair in pairs]), segments)
        if len(self._wanted) > MOST_LABELS:
            raise InputError(
                f"{len(self._wanted)} segments are ticked; at most {MOST_LABELS} can be looked for at once. Untick "
                "those that you do not need."
            )

    def read(self, pair: Pair) -> Example:
        """One of the pairs, each mask on the voxels of its scan.

        Raises:
            InputError: A node is gone, or cannot be used.
        """
        volume, label = require_node(self._scene, pair.image), require_node(self._scene, pair.label)
        return _example(volume, label, self._wanted, self._replace_nan, self._is_remote)


def read_examples(
    scene: Any,
    pairs: Sequence[Pair],
    segments: Sequence[str] | None = None,
    *,
    replace_nan: bool | None = False,
    is_remote: bool = False,
) -> list[Example]:
    """All pairs at once, as `ExampleReader` reads them.

    Raises:
        InputError: Something cannot be used; all problems together.
    """
    reader = ExampleReader(scene, pairs, segments, replace_nan=replace_nan, is_remote=is_remote)
    return [reader.read(pair) for pair in pairs]


def _require_usable(scene: Any, pairs: Sequence[Pair]) -> None:
    """Refuse pairs that do not fit together, all of them at once."""
    if not pairs:
        raise InputError("There is no example. Choose a volume and what is marked on it.")
    problems = []
    for pair in pairs:
        check = check_pair(scene, pair)
        label = scene.GetNodeByID(pair.label)
        if check.status == "refused":
            problems.append(check.reason)
        elif not any(label.IsA(one) for one in LABEL_CLASSES):
            problems.append(f'"{label.GetName()}" is neither a segmentation nor a label map. Choose another node.')
        elif not marked_in(label):
            problems.append(f'Nothing is marked in "{label.GetName()}". Draw a segment, or choose another one.')
        else:
            problems += _repeated_names(label)
    if problems:
        raise InputError("\n".join(problems))


def _repeated_names(label: Node) -> list[str]:
    keys = [_key(one.name) for one in marked_in(label)]
    twice = sorted({one.name for one in marked_in(label) if keys.count(_key(one.name)) > 1})
    if not twice:
        return []
    return [f'"{label.GetName()}" has several segments called {", ".join(twice)}. Give each a name of its own.']


def _values_by_name(label_nodes: Sequence[Node]) -> dict[str, int]:
    """What each structure is called and which value it gets: that of the label maps where they agree, else 1, 2, ..."""
    names = structure_names(label_nodes)
    values: dict[str, set[int]] = {}
    for node in label_nodes:
        is_label_map = node.IsA("vtkMRMLLabelMapVolumeNode")
        for one in marked_in(node):
            values.setdefault(_key(one.name), set()).add(int(one.key) if is_label_map else 0)
    own = [min(values[_key(name)]) for name in names if len(values[_key(name)]) == 1]
    agree = len(set(own)) == len(names) and 0 not in own
    return dict(zip(names, own if agree else range(1, len(names) + 1), strict=True))


def _chosen(names: Mapping[str, int], segments: Sequence[str] | None) -> dict[str, tuple[int, str]]:
    """Value and name in the task for the key of every structure that is wanted."""
    known = {_key(name): (value, name) for name, value in names.items()}
    if segments is None:
        return known
    unknown = [name for name in segments if _key(name) not in known]
    if unknown:
        raise InputError(
            f"No example has a segment called {', '.join(unknown)}; there are {', '.join(names)}. Choose one of these."
        )
    if not segments:
        raise InputError("No segment is chosen. Tick at least one.")
    return {_key(name): known[_key(name)] for name in segments}


def _example(
    volume: Node, label: Node, wanted: dict[str, tuple[int, str]], replace_nan: bool | None, is_remote: bool
) -> Example:
    from MaskWhatMattersLib.mass.example import Example, TaskLabel
    from MaskWhatMattersLib.mass.seg_nrrd import terms_of

    image = volume_from_node(volume, replace_nan=replace_nan)
    image = nameless(image) if is_remote else image
    marked = [one for one in marked_in(label) if _key(one.name) in wanted]
    if not marked:
        raise InputError(f'"{label.GetName()}" has none of the chosen segments. Take it off the examples.')
    labels = []
    for one in marked:
        terms = terms_of(one.terminology)
        value, name = wanted[_key(one.name)]
        labels.append(
            TaskLabel(
                value=value,
                name=name,
                color=one.color,
                category=terms.category,
                type=terms.type,
                type_modifier=terms.type_modifier,
            )
        )
    masks = np.stack([mask.astype(np.uint8) for mask in _masks(volume, label, marked, image)])
    return Example(image, image.with_array(masks), tuple(labels))


def _masks(volume: Node, label: Node, marked: Sequence[Marked], image: Volume) -> list[Array]:
    if label.IsA("vtkMRMLSegmentationNode"):
        return [segment_mask(label, volume, one.key) for one in marked]
    values = resample_like(volume_from_node(label), image, "nearest", 0).array[0]
    return [values == int(one.key) for one in marked]


def _segment(node: Node, segment_id: str, name: str) -> Marked:
    segment = node.GetSegmentation().GetSegment(segment_id)
    entry = vtk.mutable("")
    has_entry = segment.GetTag(segment.GetTerminologyEntryTagName(), entry)
    return Marked(segment_id, name.strip() or segment_id, tuple(segment.GetColor()), str(entry) if has_entry else "")


def _value(value: int, colors: Any) -> Marked:
    is_listed = colors is not None and value < colors.GetNumberOfColors()
    name = (colors.GetColorName(value) or "").strip() if is_listed else ""
    color = [*_YELLOW, 1.0]
    if is_listed:
        colors.GetColor(value, color)
    is_name = name and name not in (str(value), "(none)")
    return Marked(str(value), name if is_name else f"label {value}", (color[0], color[1], color[2]))


def _label_values(node: Node) -> list[int]:
    """Values of a label map; looked at once per change of its voxels."""
    image = node.GetImageData()
    if image is None or image.GetPointData().GetScalars() is None:
        return []
    key = (str(node.GetID()), int(image.GetMTime()))
    if key not in _values:
        for other in [one for one in _values if one[0] == key[0]]:
            del _values[other]
        _values[key] = whole_values(voxels_of(node, copy=False), _MOST_VALUES) or []
    return _values[key]


def _key(name: str) -> str:
    return name.strip().casefold()
