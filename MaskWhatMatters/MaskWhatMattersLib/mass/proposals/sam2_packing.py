"""From masks that overlap at will to label volumes: one piece each, no duplicates, in as few volumes as fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from MaskWhatMattersLib.mass.proposals.from_labels import from_label_volume, joined
from MaskWhatMattersLib.mass.proposals.proposal_set import ProposalSet, Slices


@dataclass(frozen=True, eq=False)
class FoundMask:
    """A mask, kept as its box.

    Attributes:
        box: Where it lies in [D, H, W].
        inside: What of the box it is.
        voxels: How many.
    """

    box: Slices
    inside: NDArray[np.bool_]
    voxels: int


def seeded_piece(mask: NDArray[np.bool_], seed: NDArray[np.bool_]) -> FoundMask | None:
    """The largest piece of a mask that touches its seed; None where there is none.

    Args:
        mask: [D, H, W].
        seed: True where it began, [D, H, W].
    """
    pieces, count = ndimage.label(mask, structure=np.ones((3, 3, 3)))
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)
    touching = np.unique(pieces[seed])
    touching = touching[touching > 0]
    if not touching.size:
        return None
    piece = int(touching[sizes[touching].argmax()])
    box: Slices = ndimage.find_objects(pieces)[piece - 1]
    return FoundMask(box, pieces[box] == piece, int(sizes[piece]))


def without_duplicates(masks: Sequence[FoundMask], most: float) -> list[FoundMask]:
    """The largest first; those that share more than `most` of their union with a larger one are left out."""
    kept: list[FoundMask] = []
    for mask in sorted(masks, key=lambda each: -each.voxels):
        if all(_overlap(mask, other) <= most for other in kept if mask.voxels > most * other.voxels):
            kept.append(mask)
    return kept


def packed(
    masks: Sequence[FoundMask],
    shape: tuple[int, int, int],
    spacing_mm: tuple[float, float, float],
    kind: str,
    most_levels: int,
) -> tuple[ProposalSet, int]:
    """Proposals in label volumes whose masks do not overlap, and how many masks fitted into none.

    Args:
        masks: In the order in which they are placed.
        shape: D, H, W.
        spacing_mm: Along i, j and k.
        kind: One of `KINDS`.
        most_levels: Label volumes at most.
    """
    levels: list[NDArray[np.int32]] = []
    left_out = 0
    for number, mask in enumerate(masks, start=1):
        level = next((each for each in levels if not each[mask.box][mask.inside].any()), None)
        if level is None and len(levels) < most_levels:
            level = np.zeros(shape, np.int32)
            levels.append(level)
        if level is None:
            left_out += 1
        else:
            level[mask.box][mask.inside] = number
    levels = levels or [np.zeros(shape, np.int32)]
    return joined([from_label_volume(level, spacing_mm, kind) for level in levels]), left_out


def _overlap(mask: FoundMask, other: FoundMask) -> float:
    """Intersection over union."""
    lower = [max(a.start, b.start) for a, b in zip(mask.box, other.box, strict=True)]
    upper = [min(a.stop, b.stop) for a, b in zip(mask.box, other.box, strict=True)]
    if any(low >= high for low, high in zip(lower, upper, strict=True)):
        return 0.0
    parts = []
    for each in (mask, other):
        within = [slice(low - a.start, high - a.start) for low, high, a in zip(lower, upper, each.box, strict=True)]
        parts.append(each.inside[tuple(within)])
    common = int(np.count_nonzero(parts[0] & parts[1]))
    return common / (mask.voxels + other.voxels - common)
