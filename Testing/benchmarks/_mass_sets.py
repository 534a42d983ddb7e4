"""Labelled scans for the accuracy of in-context segmentation: those of the kit, and made-up bodies."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from MaskWhatMattersLib.datasets.manifest import ManifestRow, read_manifest
from MaskWhatMattersLib.evaluation.overlap import dice
from MaskWhatMattersLib.volumes import Volume, read_volume
from mass_phantoms import NAMES, organ_subject

CHAOS = {1: "liver", 2: "right kidney", 3: "left kidney", 4: "spleen"}
ACDC = {1: "right ventricle", 2: "myocardium", 3: "left ventricle"}
HIPPOCAMPUS = {1: "anterior hippocampus", 2: "posterior hippocampus"}
HEAD = {1: "brainstem", 2: "spinal cord", 3: "right parotid", 4: "left parotid", 7: "mandible"}
"""Oesophagus and larynx (5, 6) are not contoured in every patient."""

KIT = {
    "chaos_abdomen_mr_t2": ("MR", CHAOS),
    "acdc_cardiac_mr": ("MR", ACDC),
    "hippocampus_mr": ("MR", HIPPOCAMPUS),
    "openkbp_hn_ct": ("CT", HEAD),
}
"""The sets on which few-shot segmentation is tested, with their modality and structures."""


@dataclass(frozen=True)
class Case:
    """One labelled scan.

    Attributes:
        name: Of the scan.
        load: Gives image and label map.
    """

    name: str
    load: Callable[[], tuple[Volume, Volume]]


@dataclass(frozen=True)
class CaseSet:
    """Scans of one kind.

    Attributes:
        name: Of the set.
        structures: What values of the label maps mean.
        references: Scans to take examples from, in the order in which they are taken.
        targets: Scans to be segmented; of other patients.
    """

    name: str
    structures: dict[int, str]
    references: tuple[Case, ...]
    targets: tuple[Case, ...]

    def dice(self, found: Volume, truth: Volume) -> NDArray[np.float64]:
        """Dice of each structure; NaN where the truth does not have it, since it may not have been drawn."""
        drawn = [bool((truth.array == value).any()) for value in self.structures]
        pairs = [dice(found.array == value, truth.array == value) for value in self.structures]
        return np.where(drawn, pairs, np.nan)


def kit_set(data: Path, name: str, targets: int | None, seed: int) -> CaseSet:
    """References of the split "train" in an order by seed, targets of "test", then "val", as many as wanted."""
    modality, structures = KIT[name]
    rows = [row for row in read_manifest(data) if row.dataset == name and row.label_map is not None]
    of_split = {split: [row for row in rows if row.split == split] for split in ("train", "test", "val")}
    references = random.Random(seed).sample(of_split["train"], len(of_split["train"]))
    cases = [_case(row, modality) for row in of_split["test"] + of_split["val"]]
    spread = cases if targets is None else [cases[int(at)] for at in np.linspace(0, len(cases) - 1, targets)]
    return CaseSet(name, structures, tuple(_case(row, modality) for row in references), tuple(spread))


def synthetic_set(targets: int, first_reference: int, first_target: int) -> CaseSet:
    """Made-up bodies."""

    def case(seed: int) -> Case:
        return Case(f"subject{seed}", lambda: organ_subject(seed, black_air=True))

    references = tuple(case(first_reference + number) for number in range(10))
    return CaseSet("synthetic", NAMES, references, tuple(case(first_target + number) for number in range(targets)))


def _case(row: ManifestRow, modality: str) -> Case:
    label_map = row.label_map
    if label_map is None:
        raise ValueError(f"{row.image} has no label map")
    return Case(row.image.name, lambda: (read_volume(row.image, modality=modality), read_volume(label_map)))
