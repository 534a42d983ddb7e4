"""Segments that came of an example, inside any segmentation: their figures, and whether the user changed them since.

Figures are tags of the segment, so they are saved with it and go when it goes; a scene, .seg.nrrd files and sequences
keep them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import slicer
import vtk

from MaskWhatMattersLib.bridge.nodes import Array, Node
from MaskWhatMattersLib.bridge.ownership import fingerprint
from MaskWhatMattersLib.bridge.segmentations import Color, resample_segment, write_segment
from MaskWhatMattersLib.volumes.geometry import Affine

_PREFIX = "MaskWhatMatters."
_FACTS = _PREFIX + "ByExample"
_written: set[int] = set()  # times of voxels as we wrote them; VTK's time stamps never repeat


@dataclass(frozen=True)
class SegmentFacts:
    """What is known of a segment that came of an example.

    Attributes:
        volume_ml: As it was found, mL.
        quality: Estimated Dice, 0 to 1; None where it was not estimated.
        notes: Why a person should look.
        model: Name and version of the model.
        fingerprint: Of the voxels as they were found.
    """

    volume_ml: float
    quality: float | None
    notes: tuple[str, ...]
    model: str
    fingerprint: str


def put_segment(
    node: Node,
    segment_id: str | None,
    mask: Array,
    affine: Affine,
    facts: SegmentFacts,
    look: tuple[str, Color, str | None],
) -> str:
    """Write a segment that came of an example, over one that is there or as a new one.

    Args:
        node: Segmentation.
        segment_id: The one whose voxels are replaced; None adds one.
        mask: bool [D, H, W].
        affine: (i, j, k) to the coordinates of the segmentation.
        facts: To be written down; the fingerprint is set here.
        look: Name, colour and terminology of a new one.

    Returns:
        The segment's ID.
    """
    segmentation = node.GetSegmentation()
    if segment_id is None:
        name, color, terminology = look
        segment = slicer.vtkSegment()
        segment.SetName(name)
        segment.SetColor(*color)
        if terminology:
            segment.SetTag(segment.GetTerminologyEntryTagName(), terminology)
        segment_id = str(segmentation.GenerateUniqueSegmentID(name))
        segmentation.AddSegment(segment, segment_id)
    write_segment(node, segment_id, mask, affine)
    written = {
        "volume_ml": round(facts.volume_ml, 4),
        "quality": None if facts.quality is None else round(facts.quality, 4),
        "notes": list(facts.notes),
        "model": facts.model,
        "fingerprint": fingerprint(mask),
    }
    # Tags are saved as "name:value|name:value", so the value must not hold the bar.
    segmentation.GetSegment(segment_id).SetTag(_FACTS, json.dumps(written).replace("|", "/"))
    _written.add(_last_change(node, segment_id))
    return segment_id


def facts_of(node: Node, segment_id: str) -> SegmentFacts | None:
    """What is known of a segment; None where it did not come of an example."""
    segment = node.GetSegmentation().GetSegment(segment_id)
    text = vtk.mutable("")
    if segment is None or not segment.GetTag(_FACTS, text) or not str(text):
        return None
    found: dict[str, Any] = json.loads(str(text))
    return SegmentFacts(
        float(found["volume_ml"]),
        None if found["quality"] is None else float(found["quality"]),
        tuple(found["notes"]),
        str(found["model"]),
        str(found["fingerprint"]),
    )


def forget(node: Node, segment_id: str) -> None:
    """Leave a segment to the user: it is no result any more."""
    node.GetSegmentation().GetSegment(segment_id).RemoveTag(_FACTS)


def segments_by_example(node: Node) -> Iterator[tuple[str, SegmentFacts]]:
    """ID and facts of the segments that came of an example."""
    segmentation = node.GetSegmentation()
    for index in range(segmentation.GetNumberOfSegments()):
        segment_id = str(segmentation.GetNthSegmentID(index))
        facts = facts_of(node, segment_id)
        if facts is not None:
            yield segment_id, facts


def is_edited(node: Node, segment_id: str, shape: tuple[int, ...], affine: Affine) -> bool:
    """Whether the user changed the voxels of a segment that came of an example.

    Args:
        node: Segmentation.
        segment_id: Of the segment.
        shape: (D, H, W) of the scan that it was found in.
        affine: (i, j, k) of the scan to the coordinates of the segmentation.
    """
    facts = facts_of(node, segment_id)
    if facts is None:
        return False
    changed = _last_change(node, segment_id)
    if changed in _written:
        return False  # nobody wrote since; the slow comparison is for scenes that were loaded, and for edits
    same = fingerprint(voxels_of_segment(node, segment_id, shape, affine)) == facts.fingerprint
    if same:
        _written.add(changed)
    return not same


def trust(node: Node) -> None:
    """Take the segments of a copy of what we wrote for unchanged, which saves the slow comparison."""
    _written.update(_last_change(node, segment_id) for segment_id, _facts in segments_by_example(node))


def times_of_marks(node: Node) -> tuple[int, ...]:
    """When each segment of a segmentation, or the voxels of a label map, last changed; the node's own time says not."""
    if not node.IsA("vtkMRMLSegmentationNode"):
        return (int(node.GetImageData().GetMTime()),) if node.GetImageData() is not None else ()
    segmentation = node.GetSegmentation()
    name = segmentation.GetSourceRepresentationName()
    segments = [segmentation.GetNthSegment(index) for index in range(segmentation.GetNumberOfSegments())]
    marks = [segment.GetRepresentation(name) for segment in segments]
    return tuple(int(one.GetMTime()) if one is not None else 0 for one in marks)


def voxels_of_segment(node: Node, segment_id: str, shape: tuple[int, ...], affine: Affine) -> Array:
    """Voxels of a segment on a grid in the segmentation's own coordinates, bool [D, H, W]."""
    return np.asarray(resample_segment(node, segment_id, shape, affine, vtk.vtkTransform()))


def _last_change(node: Node, segment_id: str) -> int:
    name = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
    labels = node.GetSegmentation().GetSegment(segment_id).GetRepresentation(name)
    return int(labels.GetMTime()) if labels else 0
