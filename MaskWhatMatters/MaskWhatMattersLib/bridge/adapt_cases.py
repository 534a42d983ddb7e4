"""Which scans a site has for a training: pairs and unlabelled scans, as nodes or files, and the cases made of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from MaskWhatMattersLib.bridge.nodes import (
    Node,
    volume_from_node,
)
from MaskWhatMattersLib.bridge.regions import region_from_node, segment_names
from MaskWhatMattersLib.datasets.cases import TrainingCase
from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.volumes import base_name, find_volume_paths, write_volume

LABEL_CLASSES = ("vtkMRMLSegmentationNode", "vtkMRMLLabelMapVolumeNode")

FEWEST_FOR_VALIDATION = 4
"""From so many labelled pairs on, some are held out to measure the result; of fewer, each is needed for learning."""

_VALIDATION_SHARE = 0.2
_NODE_ID = "vtkMRML"
_GONE = f"{_NODE_ID}:"  # then token and name; no ID of a node has a colon
_LABELLED, _UNLABELLED = "adaptLabelled", "adaptUnlabelled"  # parameters, and beginnings of the references' roles


@dataclass(frozen=True)
class Pair:
    """A scan and its label: node IDs, or paths of files.

    Attributes:
        image: The scan.
        label: Segmentation, label map volume, or file of a label map.
        segment: One segment of a segmentation; empty takes all of them together.
    """

    image: str
    label: str
    segment: str = ""


def store_pairs(parameter_node: Any, pairs: Iterable[Pair], name: str = _LABELLED) -> None:
    """Keep pairs in a scripted module node, to be saved with the scene.

    The IDs of nodes change when a scene is imported into another one, so text must not name them: the node's references
    do, which MRML renumbers then. Each has a role of its own, whose last part stands in the text.

    Args:
        parameter_node: vtkMRMLScriptedModuleNode.
        pairs: What to keep instead of what is kept now.
        name: Of the parameter.
    """
    with _Writer(parameter_node, name) as writer:
        writer.rows = [[writer.written(pair.image), writer.written(pair.label), pair.segment] for pair in pairs]


def stored_pairs(parameter_node: Any, name: str = _LABELLED) -> list[Pair]:
    """The pairs that `store_pairs` kept; nodes that were removed since are sources that no node has."""
    rows = _rows(parameter_node, name)
    return [
        Pair(_source(parameter_node, name, image), _source(parameter_node, name, label), segment)
        for image, label, segment in rows
    ]


def store_unlabelled(parameter_node: Any, ticks: Mapping[str, bool], name: str = _UNLABELLED) -> None:
    """Keep unlabelled scans and whether each is ticked, as `store_pairs` does."""
    with _Writer(parameter_node, name) as writer:
        writer.rows = [[writer.written(source), is_ticked] for source, is_ticked in ticks.items()]


def stored_unlabelled(parameter_node: Any, name: str = _UNLABELLED) -> dict[str, bool]:
    """The scans that `store_unlabelled` kept; nodes that were removed since are left out."""
    rows = _rows(parameter_node, name)
    ticks = {_source(parameter_node, name, source): is_ticked for source, is_ticked in rows}
    return {source: is_ticked for source, is_ticked in ticks.items() if not source.startswith(_GONE)}


class _Writer:
    """Block in which rows are written; text and references change together, for those who observe the node."""

    def __init__(self, parameter_node: Any, name: str) -> None:
        self.rows: list[list[Any]] = []
        self._node, self._name = parameter_node, name
        self._before = _tokens(_rows(parameter_node, name))
        self._token_of = {parameter_node.GetNodeReferenceID(f"{name}.{token}"): token for token in self._before}

    def written(self, source: str) -> Any:
        """A source as the text has it: a path as it is, a node by its token and, for when it is gone, its name."""
        if not is_node(source):
            return source
        node = self._node.GetScene().GetNodeByID(source)
        if node is None:
            _start, token, name = source.split(":", 2) if source.startswith(_GONE) else ("", "", source)
            return {"node": token or uuid4().hex, "name": name}
        token = self._token_of.setdefault(source, uuid4().hex)
        self._node.SetNodeReferenceID(f"{self._name}.{token}", source)
        return {"node": token, "name": node.GetName() or ""}

    def __enter__(self) -> _Writer:
        self._modifying = self._node.StartModify()
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        try:
            if kind is None:
                for token in self._before - _tokens(self.rows):
                    self._node.RemoveNodeReferenceIDs(f"{self._name}.{token}")
                self._node.SetParameter(self._name, json.dumps(self.rows))
        finally:
            self._node.EndModify(self._modifying)


def _rows(parameter_node: Any, name: str) -> list[list[Any]]:
    return list(json.loads(parameter_node.GetParameter(name) or "[]"))


def _tokens(rows: Iterable[Iterable[Any]]) -> set[str]:
    return {value["node"] for row in rows for value in row if isinstance(value, dict)}


def _source(parameter_node: Any, name: str, written: Any) -> str:
    """What `Pair` holds of a source in the text; an ID in it, from before there were references, is not believed."""
    if not isinstance(written, dict):
        return f"{_GONE}:{written}" if is_node(written) else str(written)
    node = parameter_node.GetNodeReference(f"{name}.{written['node']}")
    return str(node.GetID()) if node is not None else f"{_GONE}{written['node']}:{written['name']}"


def is_node(source: str) -> bool:
    """Whether a source is the ID of a node and not a path."""
    return source.startswith(_NODE_ID)


def source_of(given: Any) -> str:
    """A node or a path as what `Pair` holds."""
    return str(given.GetID()) if hasattr(given, "GetID") else str(given)


def name_of(scene: Any, source: str) -> str:
    """What to call a source: the node's name, or the file's without folder and format."""
    if source.startswith(_GONE):
        return source.split(":", 2)[2]
    node = scene.GetNodeByID(source) if is_node(source) else None
    return (node.GetName() or "") if node is not None else source if is_node(source) else base_name(source)


def label_name(scene: Any, pair: Pair) -> str:
    """What to call the label of a pair; with the segment where there are several."""
    name = name_of(scene, pair.label)
    node = scene.GetNodeByID(pair.label) if is_node(pair.label) and pair.segment else None
    segments = dict(segment_names(node)) if node is not None else {}
    return f"{name}: {segments[pair.segment]}" if len(segments) > 1 and pair.segment in segments else name


def validation_count(labelled: int) -> int:
    """How many of the labelled pairs, the last ones, are held out to measure the result."""
    return 0 if labelled < FEWEST_FOR_VALIDATION else max(1, round(_VALIDATION_SHARE * labelled))


def find_pairs(images: Path, labels: Path) -> tuple[list[Pair], list[str]]:
    """Scans of a folder with the label maps of the same names in another.

    Returns:
        The pairs, and the scans that have no label map, which may be learned from as unlabelled ones.

    Raises:
        InputError: Not folders, one folder for both, or nothing fits together.
    """
    if images.resolve() == labels.resolve():
        raise InputError(
            f"Scans and label maps lie in one folder, {images}, so they cannot be told apart. "
            "Put the label maps into a folder of their own, with the names of their scans."
        )
    label_of = {_relative_name(path, labels): path for path in find_volume_paths(labels)}
    found = {_relative_name(path, images): path for path in find_volume_paths(images)}
    pairs = [Pair(str(path), str(label_of[name])) for name, path in found.items() if name in label_of]
    if not pairs:
        raise InputError(
            f"No scan in {images} has a label map of the same name in {labels}; found {len(found)} scans and "
            f"{len(label_of)} label maps. Name each label map like its scan."
        )
    return pairs, [str(path) for name, path in found.items() if name not in label_of]


def repeated_scans(scene: Any, labelled: Sequence[Pair], unlabelled: Sequence[str]) -> list[str]:
    """One sentence for each scan that is there twice: the model would be measured on what it learned from."""
    count: dict[str, list[int]] = {}
    for place, sources in enumerate(([pair.image for pair in labelled], unlabelled)):
        for source in sources:
            count.setdefault(_identity(source), [0, 0])[place] += 1
    names = {_identity(source): name_of(scene, source) for source in (*(p.image for p in labelled), *unlabelled)}
    problems = []
    for identity, (with_label, without) in count.items():
        name = names[identity]
        if with_label and without:
            problems.append(f"{name} is both labelled and unlabelled. Untick it, or remove its row.")
        elif with_label + without > 1:
            problems.append(f"{name} is there twice. Remove one of them.")
    return problems


def write_case(scene: Any, image: str, pair: Pair | None, folder: Path, name: str) -> TrainingCase:
    """One scan as a training case; of nodes, a copy in world coordinates is written, the label on the scan's grid.

    Args:
        scene: Where the nodes are.
        image: Node ID or path.
        pair: The pair that the scan belongs to; None for an unlabelled one.
        folder: Gets the files, named after the case.
        name: Of the case, unique among them.

    Raises:
        InputError: The node is gone, cannot be used, or the disk is full.
    """
    if not is_node(image):
        return TrainingCase(name, Path(image), Path(pair.label) if pair is not None else None)
    node = require_node(scene, image)
    volume = volume_from_node(node)
    region = None if pair is None else region_from_node(require_node(scene, pair.label), node, pair.segment or None)
    image_file, label_file = folder / f"{name}.nii", folder / f"{name}-label.nii"
    write_volume(volume, image_file)
    if region is None:
        return TrainingCase(name, image_file)
    write_volume(region, label_file)
    return TrainingCase(name, image_file, label_file)


def case_names(scene: Any, sources: Sequence[str]) -> list[str]:
    """Names that are unique and that any file system takes."""
    taken: set[str] = set()
    names = []
    for source in sources:
        plain = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in name_of(scene, source))
        plain, number = plain.strip("._") or "scan", 1
        name = plain
        while name.lower() in taken:
            number += 1
            name = f"{plain}-{number}"
        taken.add(name.lower())
        names.append(name)
    return names


def _relative_name(path: Path, folder: Path) -> str:
    place = path.relative_to(folder)
    return place.with_name(base_name(place)).as_posix() if place.name else folder.name


def _identity(source: str) -> str:
    return source if is_node(source) else str(Path(source).resolve())


def require_node(scene: Any, node_id: str) -> Node:
    """The node of an ID.

    Raises:
        InputError: It was removed.
    """
    node = scene.GetNodeByID(node_id)
    if node is None:
        raise InputError("A scan or its label is no longer in the scene. Remove the row, or load them again.")
    return node
