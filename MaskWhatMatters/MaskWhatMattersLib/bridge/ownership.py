"""Which nodes are ours: made by this extension for one question about one volume, and free to be updated by it.

A node that the user makes, renames or edits is never overwritten. What we made for the same question on the same volume
is updated, so that asking again does not pile up nodes. The question is a prompt, or what a module always looks for.
"""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import slicer

from MaskWhatMattersLib.bridge.nodes import Array, Node

_KIND = "MaskWhatMatters.Kind"
_PROMPT = "MaskWhatMatters.Prompt"
_FINGERPRINT = "MaskWhatMatters.Fingerprint"
_INPUT_ROLE = "MaskWhatMatters.Input"
_CLASSES = {  # what a node of each kind is
    "relevance": "vtkMRMLScalarVolumeNode",
    "mask": "vtkMRMLSegmentationNode",
    "atrium": "vtkMRMLSegmentationNode",
    "disagreement": "vtkMRMLScalarVolumeNode",
    "example": "vtkMRMLSegmentationNode",
    "example sequence": "vtkMRMLSequenceNode",
}


def mark_as_ours(node: Node, kind: str, prompt: str, volume_node: Node, **facts: Any) -> None:
    """Write down what a node is: its kind, prompt, input volume, and facts such as score or model version."""
    node.SetAttribute(_KIND, kind)
    node.SetAttribute(_PROMPT, prompt)
    node.SetNodeReferenceID(_INPUT_ROLE, volume_node.GetID())
    for name, value in {"Notice": "Not for clinical use", **facts}.items():
        node.SetAttribute(f"MaskWhatMatters.{name}", None if value is None else str(value))


def fact_of(node: Node, name: str) -> str | None:
    """A fact written by `mark_as_ours`."""
    value = node.GetAttribute(f"MaskWhatMatters.{name}")
    return None if value is None else str(value)


def find_ours(volume_node: Node, kind: str, prompt: str) -> Node | None:
    """Our node of a kind for this prompt on this volume, or None."""
    for node in our_nodes(volume_node, kind):
        if node.GetAttribute(_PROMPT) == prompt:
            return node
    return None


def our_nodes(volume_node: Node, kind: str) -> list[Node]:
    """All nodes of a kind that we made for a volume."""
    nodes = nodes_of_kind(volume_node.GetScene(), kind)
    return [node for node in nodes if node.GetNodeReferenceID(_INPUT_ROLE) == volume_node.GetID()]


def nodes_of_kind(scene: Any, kind: str) -> list[Node]:
    """All nodes of a kind that we made, whatever the volume; oldest first."""
    class_name = _CLASSES[kind]
    nodes = [scene.GetNthNodeByClass(index, class_name) for index in range(scene.GetNumberOfNodesByClass(class_name))]
    return [node for node in nodes if node.GetAttribute(_KIND) == kind]


def input_of(node: Node) -> Node | None:
    """The volume that a node of ours was made for; None when it is gone."""
    return node.GetNodeReference(_INPUT_ROLE)


def is_ours(node: Node | None) -> bool:
    """Whether this extension made a node and still may change it."""
    return node is not None and node.GetAttribute(_KIND) is not None


def release(node: Node) -> None:
    """Leave a node to the user: it keeps its provenance and is not updated any more."""
    node.SetAttribute(_KIND, None)


def remember(node: Node, array: Array) -> None:
    """Remember what we wrote into a node, so that an edit of the user is noticed."""
    node.SetAttribute(_FINGERPRINT, fingerprint(array))


def is_untouched(node: Node, array: Array) -> bool:
    """Whether a node still holds what we wrote into it."""
    return bool(node.GetAttribute(_FINGERPRINT) == fingerprint(array))


def fingerprint(array: Array) -> str:
    """Checksum over shape and content of an array."""
    packed = np.packbits(array.astype(bool)) if array.dtype in (bool, np.uint8) else np.ascontiguousarray(array)
    return f"{'x'.join(map(str, array.shape))}:{zlib.crc32(packed.tobytes()):08x}"


def remove(node: Node) -> None:
    """Remove a node with its display and storage nodes."""
    scene = node.GetScene()
    companions = [node.GetNthDisplayNode(index) for index in range(node.GetNumberOfDisplayNodes())]
    if isinstance(node, slicer.vtkMRMLStorableNode):
        companions.append(node.GetStorageNode())
    scene.RemoveNode(node)
    for companion in companions:
        if companion is not None and companion.GetScene() is not None:
            scene.RemoveNode(companion)
