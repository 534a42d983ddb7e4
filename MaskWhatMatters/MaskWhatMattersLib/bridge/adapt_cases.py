"""Which scans a site has for a training: pairs and unlabelled scans, as nodes or files, and the cases made of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

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


def pairs_to_text(pairs: Iterable[Pair]) -> str:
    """Pairs as JSON, for the parameter node."""
    return json.dumps([astuple(pair) for pair in pairs])


def pairs_from_text(text: str) -> list[Pair]:
    """The pairs that `pairs_to_text` wrote."""
    return [Pair(*values) for values in json.loads(text or "[]")]


def is_node(source: str) -> bool:
    """Whether a source is the ID of a node and not a path."""
    return source.startswith(_NODE_ID)


def source_of(given: Any) -> str:
    """A node or a path as what `Pair` holds."""
    return str(given.GetID()) if hasattr(given, "GetID") else str(given)


def name_of(scene: Any, source: str) -> str:
    """What to call a source: the node's name, or the file's without folder and format."""
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
