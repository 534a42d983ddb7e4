"""Sequences of volumes: each frame is a target, and what is found becomes a sequence of segmentations beside them.

The sequence of segmentations joins the browser of the volumes, so both move together, and the segmentation node that
the scene shows is its proxy. Corrections of the proxy are kept in the frame that they were made in.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import slicer

from MaskWhatMattersLib.bridge import ownership
from MaskWhatMattersLib.bridge.example_segments import (
    forget,
    is_edited,
    put_segment,
    segments_by_example,
    trust,
    voxels_of_segment,
)
from MaskWhatMattersLib.bridge.mass_examples import same_name
from MaskWhatMattersLib.bridge.mass_results import ExampleRow, Existing, facts_of_label, look_of
from MaskWhatMattersLib.bridge.nodes import (
    Node,
    follow_transform,
    local_affine,
    place_beside,
    unique_name,
    volume_from_node,
    world_affine,
    world_from_parent,
)
from MaskWhatMattersLib.bridge.overlays import require_same_grid
from MaskWhatMattersLib.bridge.regions import segment_names
from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.volumes import Volume

if TYPE_CHECKING:
    from MaskWhatMattersLib.mass.result import InContextSegmentation

KIND = "example sequence"
_NAME = "{sequence} by example"
_FILL_OPACITY = 0.3
_VOLUME_CLASS = "vtkMRMLScalarVolumeNode"


def require_volumes(sequence: Node) -> int:
    """How many volumes a sequence has.

    Raises:
        InputError: None, or something else than volumes.
    """
    if sequence is None:
        raise InputError("There is no sequence to look at; found none selected. Load one and choose it.")
    count = int(sequence.GetNumberOfDataNodes())
    found = sequence.GetDataNodeClassName() if count else "nothing"
    if found != _VOLUME_CLASS:
        raise InputError(
            f'The sequence "{sequence.GetName()}" holds no volumes with one value per voxel; found {found}. '
            "Choose a sequence of scans."
        )
    return count


def frame_name(sequence: Node, index: int) -> str:
    """What to call a frame, for example "CT [3/10]"."""
    return f"{sequence.GetName()} [{index + 1}/{sequence.GetNumberOfDataNodes()}]"


def read_frame(sequence: Node, index: int, replace_nan: bool | None = False) -> Volume:
    """One frame as a `Volume` in world coordinates; transforms above the node that shows the sequence are applied.

    Raises:
        InputError: As `volume_from_node`.
        GeometryError: As `volume_from_node`.
    """
    frame = _frame_copy(sequence, index)
    volume = volume_from_node(frame, replace_nan=replace_nan)
    proxy = _proxy_of(sequence)
    if proxy is not None:
        volume = replace(volume, affine=world_from_parent(proxy) @ world_affine(frame))
    return volume


def show_frame(sequence: Node, index: int, result: InContextSegmentation, existing: Existing = "keep") -> list[Node]:
    """Put what was found in a frame into the sequence of segmentations, which is made with the first one.

    Args:
        sequence: Of volumes.
        index: Of the frame.
        result: What the job returned, on the voxels of the frame.
        existing: "overwrite" replaces segments that the user corrected; otherwise they stay, and with "lock" their
            voxels as well.

    Returns:
        The sequence of segmentations.

    Raises:
        GeometryError: The frame changed while it was worked on.
    """
    values = result.label_map.array[0]
    frame = _frame_copy(sequence, index)
    require_same_grid(frame, values.shape)
    results = _result_sequence(sequence)
    value = sequence.GetNthIndexValue(index)
    node = results.GetDataNodeAtValue(value, True)
    is_new = node is None
    if is_new:
        node = slicer.vtkMRMLSegmentationNode()
        node.SetName(_NAME.format(sequence=sequence.GetName()))
        # Without it, a frame in which nothing was found cannot be read back from a saved scene.
        node.SetReferenceImageGeometryParameterFromVolumeNode(frame)
    _write_labels(node, frame, result, existing)
    if is_new:
        results.SetDataNodeAtValue(node, value)
        trust(results.GetDataNodeAtValue(value, True))
    _update_proxies(sequence, results)
    ownership.mark_as_ours(results, KIND, "", sequence, Model=result.model)
    return [results]


def sequence_rows(scene: Any) -> Iterator[ExampleRow]:
    """Every segment of every frame that came of an example and whose sequence is there."""
    for results in ownership.nodes_of_kind(scene, KIND):
        sequence = ownership.input_of(results)
        if sequence is None:
            continue
        for index in range(sequence.GetNumberOfDataNodes()):
            node = results.GetDataNodeAtValue(sequence.GetNthIndexValue(index), True)
            if node is not None:
                yield from _rows_of_frame(sequence, results, index, node)


def select_frame(row: ExampleRow) -> tuple[Node, Node] | None:
    """Show the frame of a row; gives the volume node and the segmentation node that show it."""
    sequence = _sequence_of(row)
    browser = _browser_of(sequence)
    if browser is None:
        return None
    master = browser.GetMasterSequenceNode() or sequence
    browser.SetSelectedItemNumber(master.GetItemNumberFromIndexValue(_value_of(row)))
    slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(browser)
    volume, segmentation = browser.GetProxyNode(sequence), browser.GetProxyNode(row.node)
    return (volume, segmentation) if volume is not None and segmentation is not None else None


def copy_frame(row: ExampleRow) -> tuple[Node, Node]:
    """Add the frame of a row to the scene: a volume, and a segmentation of what was found and corrected in it.

    The copies are the user's: what is in them is no result any more, which the frame still shows.
    """
    scene, sequence = row.node.GetScene(), _sequence_of(row)
    volume = _frame_copy(sequence, row.frame or 0)
    volume.SetName(unique_name(scene, row.target))
    volume = scene.AddNode(volume)
    volume.CreateDefaultDisplayNodes()
    segmentation = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", unique_name(scene, f"{row.target} by example"))
    segmentation.GetSegmentation().DeepCopy(row.node.GetDataNodeAtValue(_value_of(row), True).GetSegmentation())
    for segment_id, _facts in list(segments_by_example(segmentation)):
        forget(segmentation, segment_id)
    segmentation.CreateDefaultDisplayNodes()
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    proxy = _proxy_of(sequence)
    for node in (volume, segmentation) if proxy is not None else ():
        follow_transform(node, proxy)
    return volume, segmentation


def _sequence_of(row: ExampleRow) -> Node:
    sequence: Node = ownership.input_of(row.node)
    return sequence


def _value_of(row: ExampleRow) -> str:
    return str(_sequence_of(row).GetNthIndexValue(row.frame))


def _write_labels(node: Node, frame: Node, result: InContextSegmentation, existing: Existing) -> None:
    values, affine = result.label_map.array[0], local_affine(frame)
    corrected = {
        segment_id: voxels_of_segment(node, segment_id, values.shape, affine)
        for segment_id, _facts in segments_by_example(node)
        if existing != "overwrite" and is_edited(node, segment_id, values.shape, affine)
    }
    places = segment_names(node)
    for index, label in enumerate(result.labels):
        place = next((one for one, name in places if same_name(name, label.label.name)), None)
        if place in corrected:
            continue
        mask = values == label.label.value
        for voxels in corrected.values() if existing == "lock" else ():
            mask &= ~voxels
        put_segment(node, place, mask, affine, facts_of_label(result, label), look_of(label.label, index))


def _frame_copy(sequence: Node, index: int) -> Node:
    """A volume node of no scene with the voxels of a frame: to read the frame itself would add nodes to its scene."""
    frame = sequence.GetNthDataNode(index)
    copy = slicer.vtkMRMLScalarVolumeNode()
    copy.SetName(frame_name(sequence, index))
    copy.SetAndObserveImageData(frame.GetImageData())
    copy.CopyOrientation(frame)
    return copy


def _result_sequence(sequence: Node) -> Node:
    """Our sequence of segmentations for a sequence of volumes, in the same browser."""
    scene = sequence.GetScene()
    results = ownership.find_ours(sequence, KIND, "")
    if results is None:
        name = unique_name(scene, _NAME.format(sequence=sequence.GetName()))
        results = scene.AddNewNodeByClass("vtkMRMLSequenceNode", name)
        results.SetIndexName(sequence.GetIndexName())
        results.SetIndexUnit(sequence.GetIndexUnit())
        results.SetIndexType(sequence.GetIndexType())
        ownership.mark_as_ours(results, KIND, "", sequence)
        place_beside(results, sequence)
    return results


def _update_proxies(sequence: Node, results: Node) -> None:
    """Show the present frame; a browser is made where the sequence has none."""
    scene, browser = sequence.GetScene(), _browser_of(sequence)
    if browser is None:
        browser = scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", unique_name(scene, sequence.GetName()))
        browser.SetAndObserveMasterSequenceNodeID(sequence.GetID())
    logic = slicer.modules.sequences.logic()
    is_new = not browser.IsSynchronizedSequenceNode(results, True)
    if is_new:
        browser.AddSynchronizedSequenceNodeID(results.GetID())
        browser.SetSaveChanges(results, True)
    logic.UpdateProxyNodesFromSequences(browser)
    volume, segmentation = browser.GetProxyNode(sequence), browser.GetProxyNode(results)
    if is_new and volume is not None and segmentation is not None:
        follow_transform(segmentation, volume)
        segmentation.SetReferenceImageGeometryParameterFromVolumeNode(volume)
        if segmentation.GetDisplayNode() is not None:
            segmentation.GetDisplayNode().SetOpacity2DFill(_FILL_OPACITY)


def _browser_of(sequence: Node) -> Node | None:
    scene = sequence.GetScene()
    for index in range(scene.GetNumberOfNodesByClass("vtkMRMLSequenceBrowserNode")):
        browser = scene.GetNthNodeByClass(index, "vtkMRMLSequenceBrowserNode")
        if browser.IsSynchronizedSequenceNode(sequence, True):
            return browser
    return None


def _proxy_of(sequence: Node) -> Node | None:
    browser = _browser_of(sequence)
    return browser.GetProxyNode(sequence) if browser is not None else None


def _rows_of_frame(sequence: Node, results: Node, index: int, node: Node) -> Iterator[ExampleRow]:
    frame = _frame_copy(sequence, index)
    shape, affine = tuple(reversed(frame.GetImageData().GetDimensions())), local_affine(frame)
    names = dict(segment_names(node))
    for segment_id, facts in segments_by_example(node):
        edited, volume_ml = is_edited(node, segment_id, shape, affine), facts.volume_ml
        if edited:
            voxels = np.count_nonzero(voxels_of_segment(node, segment_id, shape, affine))
            volume_ml = float(voxels) * float(abs(np.linalg.det(affine[:3, :3]))) / 1000.0
        yield ExampleRow(
            target=frame_name(sequence, index),
            segment=names[segment_id],
            volume_ml=volume_ml,
            quality=facts.quality,
            notes=facts.notes,
            model=facts.model,
            edited=edited,
            node=results,
            segment_id=segment_id,
            frame=index,
        )
