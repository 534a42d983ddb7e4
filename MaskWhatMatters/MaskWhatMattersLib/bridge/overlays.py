"""Maps from 0 to 1 as coloured overlays: transparent where nothing matters, bright where it does."""

from __future__ import annotations

from typing import Any

import numpy as np
import slicer

from MaskWhatMattersLib.bridge import ownership
from MaskWhatMattersLib.bridge.nodes import (
    Array,
    Node,
    follow_transform,
    local_affine,
    place_beside,
    set_voxels,
    unique_name,
)
from MaskWhatMattersLib.errors import GeometryError
from MaskWhatMattersLib.relevance.relevance_map import RelevanceMap

_COLORS_NAME = "Relevance colours"
_COLORS_ATTRIBUTE = "MaskWhatMatters.Colors"
# Slice views know only opaque and transparent colours, so what hardly matters is left out and not just faint.
_LOWEST_SHOWN = 0.1
# Relevance, red, green, blue: dark violet to pale yellow, so that it stands out on grey and reads in print.
_COLOR_STOPS = np.array(
    [
        [0.00, 0.20, 0.04, 0.40],
        [0.25, 0.45, 0.08, 0.50],
        [0.50, 0.80, 0.22, 0.35],
        [0.75, 0.97, 0.52, 0.15],
        [1.00, 1.00, 0.92, 0.55],
    ]
)


def put_relevance(volume_node: Node, relevance: RelevanceMap) -> Node:
    """Show a relevance map as a scalar volume on the grid of its volume node; ours is updated, else one is added.

    The node copies the volume's own affine and parent transform, so that both move together.

    Raises:
        GeometryError: The grid of the volume changed since it was asked about.
    """
    facts = {
        "prompt": relevance.prompt,
        "Score": f"{relevance.score:.4f}",
        "Localizer": relevance.localizer,
        "Model": relevance.model_version,
        "Concept": relevance.concept,
        "Threshold": relevance.threshold,
    }
    return put_overlay(volume_node, relevance.volume.array[0], facts, "relevance", f"{relevance.prompt} relevance")


def put_overlay(volume_node: Node, array: Array, facts: dict[str, Any], kind: str, name: str) -> Node:
    """Show a map as a scalar volume on the grid of its volume node; ours is updated, else one is added.

    Args:
        volume_node: The volume that the map was made for.
        array: 0 to 1, [D, H, W].
        facts: "prompt", and what else is to be written down ("Model").
        kind: What `ownership` finds it by.
        name: Of a new node.

    Raises:
        GeometryError: The grid of the volume changed since it was asked about.
    """
    require_same_grid(volume_node, array.shape)
    facts = dict(facts)
    prompt = facts.pop("prompt")
    scene = volume_node.GetScene()
    node = ownership.find_ours(volume_node, kind, prompt)
    if node is None:
        node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", unique_name(scene, name))
    _style(node)  # before there are voxels, or the display node would look for a window in them
    set_voxels(node, array, local_affine(volume_node))
    ownership.mark_as_ours(node, kind, prompt, volume_node, **facts)
    follow_transform(node, volume_node)
    place_beside(node, volume_node)
    return node


def require_same_grid(volume_node: Node, shape: tuple[int, ...]) -> None:
    """Refuse an answer for a volume whose grid changed meanwhile.

    Raises:
        GeometryError: It did.
    """
    found = tuple(reversed(volume_node.GetImageData().GetDimensions())) if volume_node.GetImageData() else ()
    if found != tuple(shape):
        raise GeometryError(
            f'The volume "{volume_node.GetName()}" changed while it was worked on: its grid is now {found}, the answer '
            f"has {tuple(shape)}. Press Apply again."
        )


def relevance_array(node: Node) -> Array:
    """Voxels of an overlay without a copy, [D, H, W]; do not write into it."""
    return np.asarray(slicer.util.arrayFromVolume(node))


def show_overlay(scene: Any, volume_node: Node, overlay_node: Node | None, opacity: float) -> bool:
    """Put a volume and its overlay (or None) into all slice views.

    Returns:
        Whether a view showed another volume before, so that it has to be fitted.
    """
    changed = False
    for index in range(scene.GetNumberOfNodesByClass("vtkMRMLSliceCompositeNode")):
        view = scene.GetNthNodeByClass(index, "vtkMRMLSliceCompositeNode")
        if view.GetBackgroundVolumeID() != volume_node.GetID():
            view.SetBackgroundVolumeID(volume_node.GetID())
            changed = True
        if overlay_node is not None:
            view.SetForegroundVolumeID(overlay_node.GetID())
            view.SetForegroundOpacity(opacity)
        elif ownership.is_ours(scene.GetNodeByID(view.GetForegroundVolumeID() or "")):
            view.SetForegroundVolumeID(None)
    return changed


def set_overlay_opacity(scene: Any, opacity: float) -> None:
    """Change the opacity in the slice views that show one of our overlays; other foregrounds stay as they are."""
    for index in range(scene.GetNumberOfNodesByClass("vtkMRMLSliceCompositeNode")):
        view = scene.GetNthNodeByClass(index, "vtkMRMLSliceCompositeNode")
        if ownership.is_ours(scene.GetNodeByID(view.GetForegroundVolumeID() or "")):
            view.SetForegroundOpacity(opacity)


def relevance_colors(scene: Any) -> Node:
    """Our colour table, one per scene; saved with it, so that a scene looks the same without this extension."""
    for index in range(scene.GetNumberOfNodesByClass("vtkMRMLColorTableNode")):
        node = scene.GetNthNodeByClass(index, "vtkMRMLColorTableNode")
        if node.GetAttribute(_COLORS_ATTRIBUTE):
            return node
    node = slicer.vtkMRMLColorTableNode()
    node.SetTypeToUser()
    node.SetName(_COLORS_NAME)
    node.SetAttribute(_COLORS_ATTRIBUTE, "1")
    node.SetHideFromEditors(True)
    node.SetNumberOfColors(256)
    levels = np.linspace(0, 1, 256)
    colors = np.stack([np.interp(levels, _COLOR_STOPS[:, 0], _COLOR_STOPS[:, column]) for column in (1, 2, 3)], axis=1)
    for entry, (level, color) in enumerate(zip(levels.tolist(), colors.tolist(), strict=True)):
        node.SetColor(entry, f"{level:.2f}", *color, float(level >= _LOWEST_SHOWN))
    node.GetLookupTable().SetTableRange(0, 255)
    return scene.AddNode(node)


def _style(node: Node) -> None:
    display = node.GetDisplayNode()
    if display is None:
        display = node.GetScene().AddNewNodeByClass("vtkMRMLScalarVolumeDisplayNode")
        display.AutoWindowLevelOff()
        node.SetAndObserveDisplayNodeID(display.GetID())
    display.SetAndObserveColorNodeID(relevance_colors(node.GetScene()).GetID())
    display.AutoWindowLevelOff()
    display.SetWindowLevelMinMax(0.0, 1.0)
    display.SetInterpolate(True)
