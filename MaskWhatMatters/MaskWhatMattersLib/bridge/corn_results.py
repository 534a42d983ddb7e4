"""One left atrium in the scene: its segmentation, its disagreement overlay, and the figures that belong to it.

The figures are written on the segmentation node. So they are saved with the scene, and go when the node goes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from MaskWhatMattersLib.bridge import ownership
from MaskWhatMattersLib.bridge.nodes import Node, local_affine, voxel_volume_ml
from MaskWhatMattersLib.bridge.overlays import put_overlay, require_same_grid
from MaskWhatMattersLib.bridge.segmentations import (
    is_as_we_left_it,
    put_mask,
    resample_segment,
    terminology_tag,
)

if TYPE_CHECKING:
    from MaskWhatMattersLib.corn.result import AtriumSegmentation

STRUCTURE = "left atrium"
SEGMENT_NAME = "Left atrium"
TERMINOLOGY = terminology_tag(("123037004", "Anatomical Structure"), ("82471001", "Left atrium"), None)
COLOR = (0.84, 0.37, 0.30)  # warm red, told apart from the overlay's violet to yellow

# Dice of the two branches: where a doubted result is poor, and where one that nobody doubts deserves a closer look.
_RED_BELOW, _AMBER_BELOW = 0.85, 0.90

Light = Literal["green", "amber", "red"]


@dataclass(frozen=True)
class AtriumRow:
    """One line of the result table.

    Attributes:
        volume_node: The scan.
        segmentation: Its segmentation.
        volume_ml: Volume of the left atrium, mL; after an edit of the user, of what the user left.
        body_surface_m2: What the user typed in, m2; None when not given.
        agreement: Dice of the two branches, 0..1; None where it has no meaning.
        review: Whether a person should look again.
        review_reasons: Why.
        model: Name and version of the model.
        edited: Whether the user changed the segmentation since.
    """

    volume_node: Any
    segmentation: Any
    volume_ml: float
    body_surface_m2: float | None
    agreement: float | None
    review: bool
    review_reasons: tuple[str, ...]
    model: str
    edited: bool = False

    @property
    def indexed_ml_m2(self) -> float | None:
        """Volume over body surface, mL/m2; None without a body surface."""
        return self.volume_ml / self.body_surface_m2 if self.body_surface_m2 else None

    @property
    def light(self) -> Light:
        """Traffic light of the agreement: never green where a review is asked for, and red only there.

        Each model has its own limits for a review, in its card.
        """
        if self.agreement is None or (self.review and self.agreement < _RED_BELOW):
            return "red"
        return "amber" if self.agreement < _AMBER_BELOW or self.review else "green"


def show_atrium(volume_node: Node, result: AtriumSegmentation, body_surface_m2: float | None = None) -> list[Node]:
    """Make or update the nodes of one result.

    Args:
        volume_node: The scan that was segmented.
        result: What the job returned, on the grid of the scan.
        body_surface_m2: Body surface of the patient, m2, where it is known.

    Returns:
        The segmentation and the overlay of the disagreement.

    Raises:
        GeometryError: The scan changed while it was worked on.
    """
    mask = result.label_map.array[0] != 0
    require_same_grid(volume_node, mask.shape)
    segmentation = put_mask(
        volume_node,
        mask,
        {
            "prompt": STRUCTURE,
            "Model": result.model,
            "VolumeMl": f"{result.volume_ml:.4f}",
            "Agreement": f"{result.agreement:.6f}",
            "BoundaryEntropy": f"{result.boundary_entropy:.6f}",
            "Review": "yes" if result.review else "no",
            "ReviewReasons": json.dumps(list(result.review_reasons)),
            "Seconds": f"{result.seconds:.2f}",
        },
        COLOR,
        TERMINOLOGY,
        kind="atrium",
        name=f"{volume_node.GetName()} {STRUCTURE}",
        segment_name=SEGMENT_NAME,
    )
    if body_surface_m2:
        set_body_surface(segmentation, body_surface_m2)
    overlay = put_overlay(
        volume_node,
        result.disagreement.array[0],
        {"prompt": STRUCTURE, "Model": result.model},
        "disagreement",
        f"{volume_node.GetName()} disagreement",
    )
    return [segmentation, overlay]


def disagreement_of(volume_node: Node) -> Node | None:
    """The overlay of a scan, or None."""
    return ownership.find_ours(volume_node, "disagreement", STRUCTURE)


def atrium_rows(scene: Any) -> list[AtriumRow]:
    """Every left atrium of ours in the scene whose scan is still there, oldest first."""
    rows = []
    for segmentation in ownership.nodes_of_kind(scene, "atrium"):
        volume_node = ownership.input_of(segmentation)
        if volume_node is not None and volume_node.GetImageData() is not None:
            rows.append(_row(volume_node, segmentation))
    return rows


def set_body_surface(segmentation: Node, body_surface_m2: float | None) -> None:
    """Write down the body surface, m2; None or 0 takes it back."""
    segmentation.SetAttribute("MaskWhatMatters.BodySurfaceM2", f"{body_surface_m2:.4f}" if body_surface_m2 else None)


def _row(volume_node: Node, segmentation: Node) -> AtriumRow:
    edited = not is_as_we_left_it(segmentation)
    agreement = _number(segmentation, "Agreement")
    return AtriumRow(
        volume_node=volume_node,
        segmentation=segmentation,
        volume_ml=_present_volume_ml(volume_node, segmentation) if edited else _number(segmentation, "VolumeMl") or 0.0,
        body_surface_m2=_number(segmentation, "BodySurfaceM2"),
        agreement=agreement,
        review=ownership.fact_of(segmentation, "Review") == "yes",
        review_reasons=tuple(json.loads(ownership.fact_of(segmentation, "ReviewReasons") or "[]")),
        model=ownership.fact_of(segmentation, "Model") or "",
        edited=edited,
    )


def _present_volume_ml(volume_node: Node, segmentation: Node) -> float:
    """Volume of the segment as the user left it, counted on the grid of the scan, mL."""
    import vtk

    segment_ids = segmentation.GetSegmentation().GetSegmentIDs()
    if not segment_ids:
        return 0.0
    shape = tuple(reversed(volume_node.GetImageData().GetDimensions()))
    mask = resample_segment(segmentation, segment_ids[0], shape, local_affine(volume_node), vtk.vtkTransform())
    return float(np.count_nonzero(mask)) * voxel_volume_ml(volume_node)


def _number(node: Node, name: str) -> float | None:
    text = ownership.fact_of(node, name)
    value = float(text) if text else None
    return None if value is None or not np.isfinite(value) else value
