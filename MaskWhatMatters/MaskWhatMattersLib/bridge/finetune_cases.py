"""Labelled scans of the scene as cases of a finetuning: which classes there are, who is held out, and the files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import slicer

from MaskWhatMattersLib.bridge.adapt_cases import Pair, is_node, name_of, require_node
from MaskWhatMattersLib.bridge.nodes import Node, volume_from_node, voxels_of
from MaskWhatMattersLib.bridge.regions import labels_from_node, segment_names
from MaskWhatMattersLib.datasets.image_cases import ImageCase, Split
from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.volumes import write_volume
from MaskWhatMattersLib.volumes.label_values import whole_values

MOST_CLASSES = 254
"""Values of a label map of eight bits; 255 says that nobody decided."""

_OVERLAP_WORTH_A_NOTE = 0.001
_values: dict[str, tuple[int, list[int]]] = {}  # of label maps, by node ID, with the time stamp of the voxels


@dataclass(frozen=True)
class SceneCase:
    """One scan of the scene as a case.

    Attributes:
        case: As the training takes it.
        note: What the person should know; empty without.
    """

    case: ImageCase
    note: str = ""


def classes_of(scene: Any, pair: Pair) -> dict[str, str]:
    """Names of what the label of a pair marks, by segment ID, or by value of a label map as text.

    A label map names its values only where its colours came from segments: Slicer's own tables call 2 "tissue",
    whatever was drawn.
    """
    node = scene.GetNodeByID(pair.label) if is_node(pair.label) else None
    if node is None:
        return {}
    if node.IsA("vtkMRMLSegmentationNode"):
        return {key: name for key, name in segment_names(node) if pair.segment in ("", key)}
    colors = _colors_of_segments(node)
    names = {value: colors.GetColorName(value) if colors is not None else "" for value in _values_of(node)}
    return {str(value): name or f"label {value}" for value, name in names.items()}


def class_names(scene: Any, pairs: Sequence[Pair]) -> list[str]:
    """Every class once, in the order in which it is met; upper and lower case are one."""
    names: dict[str, str] = {}
    for pair in pairs:
        for name in classes_of(scene, pair).values():
            names.setdefault(_key(name), name.strip())
    return list(names.values())


def class_problems(scene: Any, pairs: Sequence[Pair]) -> list[str]:
    """Why the classes of these pairs cannot be learned, one sentence each; removed nodes are told of elsewhere."""
    marked = [{_key(name) for name in classes_of(scene, pair).values()} for pair in pairs]
    problems = [
        f"{name_of(scene, pair.label)} marks nothing. Draw a segment, or choose another one."
        for pair, keys in zip(pairs, marked, strict=True)
        if not keys and is_node(pair.label) and scene.GetNodeByID(pair.label) is not None
    ]
    names = class_names(scene, pairs)
    scans_of = Counter(key for keys in marked for key in keys)
    if len(names) > 1 and sum(map(bool, marked)) > 1 and max(scans_of.values()) == 1:
        problems.append(
            f"Each scan has labels of its own ({', '.join(names[:4])}). Give one structure the same name in all scans."
        )
    if len(names) > MOST_CLASSES:
        problems.append(
            f"There are {len(names)} classes; at most {MOST_CLASSES} can be learned. Choose single segments."
        )
    return problems


def incomplete_scans(scene: Any, pairs: Sequence[Pair]) -> list[str]:
    """One sentence for each scan in which a class is not marked: there it counts as background."""
    names = class_names(scene, pairs)
    notes = []
    for pair in pairs:
        marked = {_key(name) for name in classes_of(scene, pair).values()}
        missing = [name for name in names if marked and _key(name) not in marked]
        if missing:
            scan = name_of(scene, pair.image)
            notes.append(f"{scan} has no {', '.join(missing)}; what is not marked counts as background.")
    return notes


def held_out(scene: Any, pairs: Sequence[Pair], share: float) -> set[int]:
    """Indices of the pairs that measure the result: those of the last patients, and never of all."""
    patients = [patient_of(scene, pair.image) for pair in pairs]
    order = list(dict.fromkeys(patients))
    count = min(max(1, round(share * len(order))), len(order) - 1) if share > 0 and order else 0
    measuring = set(order[len(order) - count :])
    return {index for index, patient in enumerate(patients) if patient in measuring}


def patient_of(scene: Any, source: str) -> str:
    """Whose a scan is, without a name: scans under one patient of the subject hierarchy belong together."""
    node = scene.GetNodeByID(source) if is_node(source) else None
    hierarchy: Any = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene) if node is not None else None
    item = hierarchy.GetItemByDataNode(node) if hierarchy is not None else 0
    level = slicer.vtkMRMLSubjectHierarchyConstants.GetDICOMLevelPatient()
    patient = hierarchy.GetItemAncestorAtLevel(item, level) if item else 0
    return f"patient-{patient}" if patient else source


def scene_case(scene: Any, pair: Pair, names: Sequence[str], name: str, split: Split, folder: Path | None) -> SceneCase:
    """One pair as a case, with one label map for all classes on the grid of the scan, in world coordinates.

    Args:
        scene: Where the nodes are.
        pair: Nodes.
        names: Classes; the first one has the value 1.
        name: Of the case.
        split: Role of the scan.
        folder: Gets the files; None keeps the voxels in the case, for a worker on another computer.

    Raises:
        InputError: A node is gone or cannot be used, or the disk is full.
    """
    if not is_node(pair.image):
        return SceneCase(ImageCase(name, Path(pair.image), pair.image, split, label_map=Path(pair.label)))
    node = require_node(scene, pair.image)
    value_of = {_key(one): value for value, one in enumerate(names, start=1)}
    label_node = require_node(scene, pair.label)
    classes = {key: value_of[_key(one)] for key, one in classes_of(scene, pair).items() if _key(one) in value_of}
    image = volume_from_node(node)
    labels, overlap = labels_from_node(label_node, node, classes)
    note = ""
    if overlap > _OVERLAP_WORTH_A_NOTE:
        scan = name_of(scene, pair.image)
        note = f"Segments of {scan} overlap in {overlap:.1%} of the marked voxels: the later one has them."
    patient = patient_of(scene, pair.image)
    patient = name if patient == pair.image else patient
    if folder is None:
        return SceneCase(ImageCase(name, image, patient, split, label_map=labels), note)
    image_file, label_file = folder / f"{name}.nii", folder / f"{name}-label.nii"
    write_volume(image, image_file)
    write_volume(labels, label_file)
    return SceneCase(ImageCase(name, image_file, patient, split, label_map=label_file), note)


def _key(name: str) -> str:
    return name.strip().casefold()


def _values_of(node: Node) -> list[int]:
    """Values of a label map, background left out; looked up again only when its voxels changed."""
    image = node.GetImageData()
    if image is None:
        return []
    stamp, known = _values.get(node.GetID(), (-1, []))
    if stamp != image.GetMTime():
        try:
            array = voxels_of(node, copy=False)
        except InputError:
            return []
        known = [value for value in whole_values(array, MOST_CLASSES + 1) or () if value != 0]
        _values[node.GetID()] = image.GetMTime(), known
    return known


def _colors_of_segments(node: Node) -> Any:
    """The colour table of a label map that was exported from segments; None for one of Slicer's own."""
    display = node.GetDisplayNode()
    colors = display.GetColorNode() if display is not None else None
    is_own = colors is not None and colors.IsA("vtkMRMLColorTableNode") and colors.GetType() == colors.User
    return colors if is_own else None
