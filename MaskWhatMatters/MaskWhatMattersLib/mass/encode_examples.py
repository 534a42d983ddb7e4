"""Encode the labels of all examples of a task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.mass.encode import MarkEncoder
from MaskWhatMattersLib.mass.example import Example
from MaskWhatMattersLib.mass.examples import SharedLabels
from MaskWhatMattersLib.mass.prepare import masks_on, prepare
from MaskWhatMattersLib.mass.preprocessing import MassPreprocessing
from MaskWhatMattersLib.mass.task import ReferenceCrop
from MaskWhatMattersLib.progress import Progress
from MaskWhatMattersLib.volumes import Volume


@dataclass(frozen=True, eq=False)
class EncodedExamples:
    """What the network remembers of R examples with K labels.

    Attributes:
        tokens: float32 [R, K, T, C] per scale, deepest first; 0 where an example does not have a label.
        present: Which example has which label, [R, K].
        crops: What was encoded.
        cut: Names of labels that are larger than the window in an example.
        outside: Names of labels that lie for the most part outside of what looks like the body in an example.
    """

    tokens: tuple[NDArray[np.float32], ...]
    present: NDArray[np.bool_]
    crops: tuple[ReferenceCrop, ...]
    cut: tuple[str, ...]
    outside: tuple[str, ...]


def encode_examples(
    examples: Sequence[Example],
    shared: SharedLabels,
    encoder: MarkEncoder,
    preprocessing: MassPreprocessing,
    spacing_mm: float,
    progress: Progress,
) -> EncodedExamples:
    """Tokens of all labels from every example.

    Args:
        examples: Checked.
        shared: Their labels.
        encoder: Of the network.
        preprocessing: How scans are prepared for it.
        spacing_mm: Of the voxels that it sees.
        progress: Gets one step per example.

    Raises:
        InputError: A label that lies outside of the body in all examples.
    """
    progress.stage("Learning from the examples", len(examples))
    names = [label.name for label in shared.labels]
    tokens, present, crops = [], [], []
    cut: set[int] = set()
    outside: set[int] = set()
    for number, (example, places) in enumerate(zip(examples, shared.places, strict=True)):
        prepared = prepare(example.image, preprocessing, spacing_mm)
        given = masks_on(prepared, example.masks)
        masks = np.zeros((len(names), *given.shape[1:]), np.uint8)
        masks[list(places)] = given
        encoded = encoder.encode(prepared.volume.array[0], masks, progress)
        tokens.append([scale.cpu().numpy() for scale in encoded.tokens])
        present.append(encoded.present)
        crops += [
            ReferenceCrop(crop.image.astype(np.float16), crop.masks, crop.places, number) for crop in encoded.crops
        ]
        cut |= set(encoded.cut)
        outside |= {places[index] for index in _lost(given, prepared.volume, example.masks)}
        progress.step()
    _require_seen(np.stack(present), names)
    return EncodedExamples(
        tokens=tuple(np.stack(scale) for scale in zip(*tokens, strict=True)),
        present=np.stack(present),
        crops=tuple(crops),
        cut=tuple(names[place] for place in sorted(cut)),
        outside=tuple(names[place] for place in sorted(outside)),
    )


def _lost(masks: NDArray[np.uint8], grid: Volume, drawn: Volume) -> list[int]:
    """Masks of which less than half is left on the prepared grid, since they lie beyond the body."""
    left_ml = masks.sum((1, 2, 3)) * grid.voxel_volume_ml
    drawn_ml = np.array([np.count_nonzero(mask) for mask in drawn.array]) * drawn.voxel_volume_ml
    # A mask finer than the grid's voxels may also shrink or grow: those are not lost.
    is_lost = (left_ml < drawn_ml / 2) & (drawn_ml > grid.voxel_volume_ml)
    return [int(place) for place in np.flatnonzero(is_lost)]


def _require_seen(present: NDArray[np.bool_], names: Sequence[str]) -> None:
    """Refuse labels that lie outside of the body in all examples."""
    unseen = [name for place, name in enumerate(names) if not present[:, place].any()]
    if unseen:
        raise InputError(
            f"{', '.join(unseen)}: drawn outside of what looks like the body in all {len(present)} examples, so that "
            "the network does not see it. Check that scan and label map belong together."
        )
