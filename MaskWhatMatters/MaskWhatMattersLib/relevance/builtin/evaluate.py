"""How well the builtin network does on labelled cases: Dice per concept, and whether it knows what is not there.

Negatives are of two kinds. "elsewhere": the concept belongs to another part of the body. "same region": the same
scans beyond the structure (slabs of slices without it), and pictures of the same organ without the finding.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from MaskWhatMattersLib.datasets.manifest import ManifestRow, read_manifest
from MaskWhatMattersLib.progress import SilentProgress
from MaskWhatMattersLib.relevance.builtin.localizer import BuiltinLocalizer, clean, evidence
from MaskWhatMattersLib.relevance.builtin.slices import slice_labels, slice_volume
from MaskWhatMattersLib.relevance.builtin.sources import BY_NAME, IGNORED, labels_from_boxes
from MaskWhatMattersLib.volumes import Volume, read_volume

Kind = Literal["present", "absent: same region", "absent: elsewhere"]
MIN_SLAB = 5
"""Slices in a slab that is used as a negative."""


@dataclass(frozen=True)
class Record:
    """One question to the network and what came of it.

    Attributes:
        dataset: Name of the set.
        case: File name of the image.
        concept: What was asked for.
        modality: Of the image.
        kind: The truth.
        evidence: Presence score, 0..1.
        dice: Overlap where the thing is present, with and without keeping only the largest piece; None when absent.
    """

    dataset: str
    case: str
    concept: str
    modality: str
    kind: Kind
    evidence: float
    dice: float | None = None
    dice_single: float | None = None


def evaluate(localizer: BuiltinLocalizer, data: Path, split: str, *, permissive_only: bool) -> Iterator[Record]:
    """Ask for every concept in every case of a split whose truth is known."""
    for row in read_manifest(data):
        source = BY_NAME.get(row.dataset)
        if source is None or row.split != split or (permissive_only and not source.permissive):
            continue
        if "labels_tissue" in str(row.label_map) or (permissive_only and "no_tumor" in row.note):
            continue
        yield from _evaluate_case(localizer, row)


def dice(predicted: NDArray[np.bool_], truth: NDArray[np.bool_], valid: NDArray[np.bool_]) -> float:
    """Overlap of two masks where the truth is known; 1 when both are empty."""
    predicted, truth = predicted & valid, truth & valid
    total = int(predicted.sum()) + int(truth.sum())
    return 2 * int((predicted & truth).sum()) / total if total else 1.0


def _evaluate_case(localizer: BuiltinLocalizer, row: ManifestRow) -> Iterator[Record]:
    source = BY_NAME[row.dataset]
    volume = read_volume(row.image)
    labels = _truth(row, volume)
    found = set(np.unique(labels.array).tolist())
    known = {name for name in localizer.network.config.concepts if name in source.impossible}
    known |= {name for label in found for name in source.labels.get(label, ())}
    if "no_tumor" in row.note:
        known.add("brain tumor")
    if row.dataset == "chest_xray_kermany_lungmask":
        known |= {"left lung", "right lung"}
    names = sorted(known)
    if not names:
        return
    stack = slice_volume(volume, source.modality)
    sliced = slice_labels(stack, labels)
    probability, presence = localizer.look(stack, names, SilentProgress())
    valid = np.asarray(labels.array[0] != IGNORED)
    for concept, truth in _structures(source.name, known, labels.array[0]).items():
        parts = ("left lung", "right lung") if concept == "lungs" else (concept,)
        maps = {
            single: np.maximum.reduce(
                [stack.to_volume(clean(probability[part], presence[part], single)).array[0] for part in parts]
            )
            for single in (False, True)
        }
        score = max(evidence(presence[part]) for part in parts)
        values = (dice(maps[single] >= 0.5, truth, valid) for single in (False, True))
        yield Record(row.dataset, row.image.name, concept, source.modality, "present", score, *values)
        if concept in source.unknown_below or len(sliced) == 1 or len(parts) > 1:
            continue
        codes = torch.tensor([code for code, members in source.labels.items() if concept in members])
        empty = ~torch.isin(sliced, codes).flatten(1).any(1)
        for slab in _runs(empty, margin=stack.context + 1):
            beyond = evidence(presence[concept][slab])
            yield Record(row.dataset, row.image.name, concept, source.modality, "absent: same region", beyond)
    for concept in names:
        if concept in source.impossible:
            score = evidence(presence[concept])
            yield Record(row.dataset, row.image.name, concept, source.modality, "absent: elsewhere", score)
    if "no_tumor" in row.note:
        score = evidence(presence["brain tumor"])
        yield Record(row.dataset, row.image.name, "brain tumor", source.modality, "absent: same region", score)


def _truth(row: ManifestRow, volume: Volume) -> Volume:
    """Label map of a case on its image's grid."""
    if row.label_map is None:
        return volume.with_array(labels_from_boxes(row.note, volume.spatial_shape[1:], rim=False)[None, None])
    array = read_volume(row.label_map).array
    return volume.with_array(array // 255 if row.dataset == "brain_tumor_2d_figshare" else array)


def _structures(dataset: str, known: set[str], labels: NDArray[np.uint8]) -> dict[str, NDArray[np.bool_]]:
    """Truth of every structure that is there, [D, H, W]; X-ray lungs also as one."""
    if dataset == "chest_xray_kermany_lungmask":
        return {"lungs": labels == 1}
    structures: dict[str, NDArray[np.bool_]] = {}
    for code, names in BY_NAME[dataset].labels.items():
        for name in names:
            if name in known and (labels == code).any():
                structures[name] = structures.get(name, np.zeros(labels.shape, bool)) | (labels == code)
    if "left lung" in structures and "right lung" in structures:
        structures["lungs"] = structures["left lung"] | structures["right lung"]
    return structures


def _runs(empty: torch.Tensor, margin: int) -> list[slice]:
    """Stretches of at least `MIN_SLAB` slices without the structure.

    `margin` slices next to it are left out: their context still shows it, which a scan that ends there would not.
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[0], empty.numpy().astype(np.int8), [0]]))).reshape(-1, 2).tolist()
    kept = [(a + margin * (a > 0), b - margin * (b < len(empty))) for a, b in edges]
    return [slice(a, b) for a, b in kept if b - a >= MIN_SLAB]
