"""What an example found in a volume: its segments in the scene, beside those of the user, and the rows of the table.

What happens to segments that are there already is the user's choice:

- keep: the found segments get a segmentation of their own beside it;
- overwrite: segments of the same names in the volume's segmentation are replaced, the others stay;
- lock: the found segments join the volume's segmentation, and every voxel that is marked there stays as it is.

What an earlier run found and nobody changed is none of the user's: it is replaced in all three cases. Nothing is ever
written into a segmentation of surfaces; what was found gets one of its own then.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import slicer
import vtk

from MaskWhatMattersLib.bridge import ownership
from MaskWhatMattersLib.bridge.example_segments import (
    SegmentFacts,
    facts_of,
    forget,
    is_edited,
    put_segment,
    segments_by_example,
    voxels_of_segment,
)
from MaskWhatMattersLib.bridge.mass_examples import same_name
from MaskWhatMattersLib.bridge.nodes import (
    Array,
    Node,
    array_from_matrix,
    follow_transform,
    local_affine,
    place_beside,
    unique_name,
    voxel_volume_ml,
    world_affine,
    world_from_parent,
)
from MaskWhatMattersLib.bridge.overlays import require_same_grid
from MaskWhatMattersLib.bridge.regions import segment_mask, segment_names
from MaskWhatMattersLib.bridge.segmentations import Color, terminology_entry
from MaskWhatMattersLib.volumes.geometry import Affine

if TYPE_CHECKING:
    from MaskWhatMattersLib.mass.example import TaskLabel
    from MaskWhatMattersLib.mass.result import InContextSegmentation, LabelResult

Existing = Literal["keep", "overwrite", "lock"]
KIND = "example"
_NAME = "{volume} by example"
_FILL_OPACITY = 0.3
_PALETTE: tuple[Color, ...] = ((0.90, 0.62, 0.00), (0.34, 0.71, 0.91), (0.00, 0.62, 0.45), (0.80, 0.47, 0.65))
_POOR, _FAIR = 0.6, 0.8

Light = Literal["green", "amber", "red"]


@dataclass(frozen=True)
class ExampleRow:
    """One line of the result table: one segment of one target.

    Attributes:
        target: What the user calls the target.
        segment: Name of the segment.
        volume_ml: mL; after an edit of the user, of what the user left.
        quality: Estimated Dice, 0 to 1; None where it was not estimated.
        notes: Why a person should look.
        model: Name and version.
        edited: Whether the user changed the segment since.
        volume_node: The scan; None for a frame of a sequence and for files.
        node: Segmentation, or sequence of segmentations; None for files.
        segment_id: In the segmentation.
        frame: Place in the sequence; None for anything else.
        file: The scan, where it was read from a folder; empty otherwise.
        load: Of a file: adds the scan and what was found in it to the scene, and gives both nodes.
    """

    target: str
    segment: str
    volume_ml: float
    quality: float | None
    notes: tuple[str, ...]
    model: str
    edited: bool = False
    volume_node: Any = None
    node: Any = None
    segment_id: str = ""
    frame: int | None = None
    file: str = ""
    load: Callable[[], tuple[Any, Any]] | None = None

    @property
    def light(self) -> Light:
        """Traffic light: where something is unusual, never green."""
        if self.quality is None:
            return "amber"
        if self.quality < _POOR:
            return "red"
        return "amber" if self.quality < _FAIR or self.notes else "green"


def worst_first(rows: Sequence[ExampleRow]) -> list[ExampleRow]:
    """Rows in the order in which a person should look at them; those without an estimate last, unless empty."""

    def key(row: ExampleRow) -> float:
        if row.quality is not None:
            return row.quality
        return 2.0 if row.volume_ml else -1.0

    return sorted(rows, key=key)


def show_result(
    volume_node: Node, result: InContextSegmentation, existing: Existing = "keep"
) -> tuple[Node, list[str]]:
    """Make or update the segments of one target.

    Args:
        volume_node: The scan that was segmented.
        result: What the job returned, on the voxels of the scan.
        existing: What happens to segments that are there.

    Returns:
        The segmentation, and names of segments that were not written because the user's are locked.

    Raises:
        GeometryError: The scan changed while it was worked on.
    """
    values = result.label_map.array[0]
    require_same_grid(volume_node, values.shape)
    node = _destination(volume_node, result, existing)
    free = ~_locked_voxels(volume_node, values.shape) if existing == "lock" else np.ones(values.shape, bool)
    kept = []
    for index, label in enumerate(result.labels):
        mask = (values == label.label.value) & free
        place = _place_of(node, label.label.name, volume_node)
        if existing == "lock" and place is not None and not _may_replace(node, place, volume_node):
            kept.append(label.label.name)
            continue
        facts = facts_of_label(result, label, float(np.count_nonzero(mask)) * voxel_volume_ml(volume_node))
        put_segment(node, place, mask, _affine_in(node, volume_node), facts, look_of(label.label, index))
    facts_of_all = {"Model": result.model, "Seconds": f"{result.seconds:.2f}"}
    if ownership.fact_of(node, "Kind") == KIND:
        ownership.mark_as_ours(node, KIND, "", volume_node, **facts_of_all)
    return node, kept


def present_segmentation(volume_node: Node, names: Sequence[str] = ()) -> Node | None:
    """The user's segmentation of a volume, best with some of these names; None where none was drawn on it."""
    scene = volume_node.GetScene()
    count = scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode")
    nodes = [scene.GetNthNodeByClass(index, "vtkMRMLSegmentationNode") for index in range(count)]
    drawn = [node for node in nodes if not ownership.is_ours(node) and _is_drawn_on(node, volume_node)]

    def fitting(node: Node) -> int:
        return sum(any(same_name(name, wanted) for wanted in names) for _id, name in segment_names(node))

    return max(reversed(drawn), key=fitting, default=None)


def holds_surfaces(node: Node) -> bool:
    """Whether a segmentation is made of surfaces, as those of STL files: voxels cannot be written into it."""
    name = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
    return bool(node.GetSegmentation().GetSourceRepresentationName() != name)


def example_rows(scene: Any) -> list[ExampleRow]:
    """Every segment in the scene that came of an example and whose scan is there; frames of sequences are left out."""
    count = scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode")
    nodes = [scene.GetNthNodeByClass(index, "vtkMRMLSegmentationNode") for index in range(count)]
    return [row for node in nodes if not is_of_sequence(node) for row in _rows_of(node)]


def look_of(label: TaskLabel, index: int) -> tuple[str, Color, str | None]:
    """Name, colour and terminology of a segment; `index` picks a colour where the label has none."""
    color = label.color or _PALETTE[index % len(_PALETTE)]
    codes = (label.category, label.type, label.type_modifier)
    terms = [(code.scheme, code.value, code.meaning) if code is not None else None for code in codes]
    return label.name, color, terminology_entry(*terms) if label.category and label.type else None


def facts_of_label(result: InContextSegmentation, label: LabelResult, volume_ml: float | None = None) -> SegmentFacts:
    """What is written down of a label; `volume_ml` where it was not written as it was found."""
    quality = None if math.isnan(label.quality) else float(label.quality)
    notes = (*label.notes, *result.notes)
    return SegmentFacts(label.volume_ml if volume_ml is None else volume_ml, quality, notes, result.model, "")


def new_segmentation(scene: Any, name: str, volume_node: Node) -> Node:
    """Add an empty segmentation for results on the grid of a volume."""
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume_node)
    node.GetDisplayNode().SetOpacity2DFill(_FILL_OPACITY)
    return node


def _destination(volume_node: Node, result: InContextSegmentation, existing: Existing) -> Node:
    """Where the segments go."""
    names = [label.label.name for label in result.labels]
    node = present_segmentation(volume_node, names) if existing != "keep" else None
    if node is None or holds_surfaces(node):
        node = ownership.find_ours(volume_node, KIND, "")
        if node is not None and existing == "keep" and not _is_untouched(node, volume_node):
            for segment_id, _facts_of_it in list(segments_by_example(node)):
                forget(node, segment_id)
            ownership.release(node)  # from now on it is the user's, and stays as it is
            node = None
    if node is None:
        scene = volume_node.GetScene()
        name = unique_name(scene, _NAME.format(volume=volume_node.GetName()))
        node = new_segmentation(scene, name, volume_node)
        ownership.mark_as_ours(node, KIND, "", volume_node)
        follow_transform(node, volume_node)
        place_beside(node, volume_node)
    elif _drawn_on(node) is None:  # as loaded from a file; from now on it is known whose it is
        node.SetReferenceImageGeometryParameterFromVolumeNode(volume_node)
    return node


def _place_of(node: Node, name: str, volume_node: Node) -> str | None:
    """The segment of this name; of several, one that is ours."""
    found = [segment_id for segment_id, other in segment_names(node) if same_name(name, other)]
    ours = [segment_id for segment_id in found if _may_replace(node, segment_id, volume_node)]
    return next(iter(ours or found), None)


def _may_replace(node: Node, segment_id: str, volume_node: Node) -> bool:
    """Whether a segment came of an example and nobody changed it since."""
    if facts_of(node, segment_id) is None:
        return False
    return not is_edited(node, segment_id, *_grid(volume_node, node))


def _is_untouched(node: Node, volume_node: Node) -> bool:
    return all(_may_replace(node, segment_id, volume_node) for segment_id, _name in segment_names(node))


def _locked_voxels(volume_node: Node, shape: tuple[int, ...]) -> Array:
    """Voxels of all segments that were drawn on a volume, whoever drew them, except results that nobody changed."""
    scene = volume_node.GetScene()
    locked = np.zeros(shape, bool)
    for index in range(scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode")):
        node = scene.GetNthNodeByClass(index, "vtkMRMLSegmentationNode")
        if not _is_drawn_on(node, volume_node) or ownership.fact_of(node, "Kind") not in (None, KIND):
            continue
        for segment_id, _name in segment_names(node):
            if not _may_replace(node, segment_id, volume_node):
                locked |= segment_mask(node, volume_node, segment_id)
    return locked


def _drawn_on(node: Node) -> Node | None:
    return node.GetNodeReference(node.GetReferenceImageGeometryReferenceRole())


def _is_drawn_on(node: Node, volume_node: Node) -> bool:
    """Whether a segmentation is of a volume; one that was loaded from a file names none, so its voxels tell."""
    named = _drawn_on(node)
    return named is volume_node if named is not None else _has_grid_of(node, volume_node)


def _has_grid_of(node: Node, volume_node: Node) -> bool:
    """Whether the reference geometry of a segmentation is that of a volume."""
    converter = slicer.vtkSegmentationConverter
    text = node.GetSegmentation().GetConversionParameter(converter.GetReferenceImageGeometryParameterName())
    geometry = slicer.vtkOrientedImageData()
    if not text or volume_node.GetImageData() is None or not converter.DeserializeImageGeometry(text, geometry, False):
        return False
    matrix = vtk.vtkMatrix4x4()
    geometry.GetImageToWorldMatrix(matrix)
    same_place = np.allclose(array_from_matrix(matrix), local_affine(volume_node), atol=1e-3)
    return same_place and geometry.GetDimensions() == volume_node.GetImageData().GetDimensions()


def _grid(volume_node: Node, node: Node) -> tuple[tuple[int, ...], Affine]:
    """(D, H, W) of a volume, and its affine in the coordinates of a segmentation."""
    return tuple(reversed(volume_node.GetImageData().GetDimensions())), _affine_in(node, volume_node)


def _affine_in(node: Node, volume_node: Node) -> Affine:
    if node.GetTransformNodeID() == volume_node.GetTransformNodeID():
        return local_affine(volume_node)  # also under one that is not linear
    return np.asarray(np.linalg.inv(world_from_parent(node)) @ world_affine(volume_node))


def _rows_of(node: Node) -> Iterator[ExampleRow]:
    volume_node = ownership.input_of(node) or _drawn_on(node)
    if volume_node is None or volume_node.GetImageData() is None:
        return
    names = dict(segment_names(node))
    for segment_id, facts in segments_by_example(node):
        edited = is_edited(node, segment_id, *_grid(volume_node, node))
        volume_ml = facts.volume_ml
        if edited:
            voxels = voxels_of_segment(node, segment_id, *_grid(volume_node, node))
            volume_ml = float(np.count_nonzero(voxels)) * voxel_volume_ml(volume_node)
        yield ExampleRow(
            target=volume_node.GetName(),
            segment=names[segment_id],
            volume_ml=volume_ml,
            quality=facts.quality,
            notes=facts.notes,
            model=facts.model,
            edited=edited,
            volume_node=volume_node,
            node=node,
            segment_id=segment_id,
        )


def is_of_sequence(node: Node) -> bool:
    """Whether a node shows the present frame of a sequence."""
    scene = node.GetScene()
    count = scene.GetNumberOfNodesByClass("vtkMRMLSequenceBrowserNode")
    browsers = [scene.GetNthNodeByClass(index, "vtkMRMLSequenceBrowserNode") for index in range(count)]
    return any(browser.IsProxyNodeID(node.GetID()) for browser in browsers)
