"""Make proposals from label volumes, and put sets of proposals together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.mass.proposals.proposal_set import KINDS, ProposalSet, counts_below


def from_label_volume(
    labels: NDArray[Any], spacing_mm: tuple[float, float, float], kind: str, *, least_ml: float = 0.0
) -> ProposalSet:
    """Every label of one label volume as a proposal.

    Args:
        labels: Whole numbers from 0 (nothing) on, [D, H, W].
        spacing_mm: Along i, j and k.
        kind: One of `KINDS`.
        least_ml: Smaller ones are left out.
    """
    volume = np.ascontiguousarray(labels, np.int32)
    counts = np.bincount(volume.reshape(-1))
    counts[0] = 0
    present = np.flatnonzero(counts)
    ids = present[counts[present] * _voxel_ml(spacing_mm) >= least_ml]
    return from_ranges(volume, ids, ids, spacing_mm, np.full(len(ids), KINDS.index(kind)))


def from_ranges(
    labels: NDArray[np.int32],
    first: NDArray[Any],
    last: NDArray[Any],
    spacing_mm: tuple[float, float, float],
    kind: NDArray[Any],
    parent: NDArray[Any] | None = None,
) -> ProposalSet:
    """Ranges of the labels of one label volume as proposals.

    Args:
        labels: int32 [D, H, W].
        first: Lowest label of each proposal, [N].
        last: Highest label, included, [N].
        spacing_mm: Along i, j and k.
        kind: Positions in `KINDS`, [N].
        parent: Proposals that these were merged into, [N]; none when None.
    """
    highest = max(int(labels.max()), int(last.max()) if len(last) else 0)
    below = counts_below(labels, highest)
    return ProposalSet(
        levels=(labels,),
        level=np.zeros(len(first), np.int32),
        first=np.asarray(first, np.int32),
        last=np.asarray(last, np.int32),
        parent=np.full(len(first), -1, np.int32) if parent is None else np.asarray(parent, np.int32),
        kind=np.asarray(kind, np.uint8),
        volume_ml=((below[last + 1] - below[first]) * _voxel_ml(spacing_mm)).astype(np.float32),
        bounds=_bounds_of_ranges(_bounds_of_labels(labels, highest), first, last),
        spacing_mm=spacing_mm,
    )


def joined(sets: Sequence[ProposalSet]) -> ProposalSet:
    """Proposals of several sets of one scan, in their order.

    Raises:
        InputError: None was given, or they lie on different grids.
    """
    shapes = sorted({(each.spatial_shape, tuple(np.round(each.spacing_mm, 4))) for each in sets})
    if len(shapes) != 1:
        found = "; ".join(f"{shape[::-1]} voxels at {spacing} mm" for shape, spacing in shapes) or "none"
        raise InputError(
            f"Proposals can be put together if they are of one scan on one grid; found {found}. Resample the label "
            "maps to the scan first."
        )
    levels = np.cumsum([0, *(len(each.levels) for each in sets)])
    starts = np.cumsum([0, *(len(each) for each in sets)])
    parents = [np.where(each.parent < 0, -1, each.parent + start) for each, start in zip(sets, starts, strict=False)]
    return ProposalSet(
        levels=tuple(volume for each in sets for volume in each.levels),
        level=np.concatenate([each.level + before for each, before in zip(sets, levels, strict=False)]).astype(
            np.int32
        ),
        first=np.concatenate([each.first for each in sets]),
        last=np.concatenate([each.last for each in sets]),
        parent=np.concatenate(parents).astype(np.int32),
        kind=np.concatenate([each.kind for each in sets]),
        volume_ml=np.concatenate([each.volume_ml for each in sets]),
        bounds=np.concatenate([each.bounds for each in sets]),
        spacing_mm=sets[0].spacing_mm,
    )


def _voxel_ml(spacing_mm: tuple[float, float, float]) -> float:
    return float(np.prod(spacing_mm)) / 1000.0


def _bounds_of_labels(labels: NDArray[np.int32], highest: int) -> NDArray[np.int32]:
    """Box of every label from 0 to `highest`, [highest + 1, 6]; inside out where a label is absent."""
    nothing = [*labels.shape, 0, 0, 0]
    bounds = np.tile(np.array(nothing, np.int32), (highest + 1, 1))
    for label, box in enumerate(ndimage.find_objects(labels, highest), start=1):
        if box is not None:
            bounds[label] = [*(side.start for side in box), *(side.stop for side in box)]
    return bounds


def _bounds_of_ranges(bounds: NDArray[np.int32], first: NDArray[Any], last: NDArray[Any]) -> NDArray[np.int32]:
    found: NDArray[np.int32] = bounds[first].reshape(-1, 6)
    for index in np.flatnonzero(last > first):
        boxes = bounds[first[index] : last[index] + 1]
        found[index] = [*boxes[:, :3].min(0), *boxes[:, 3:].max(0)]
    return found
