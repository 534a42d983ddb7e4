"""The data sets that the builtin network learns from: what each label means, and what a missing label means.

A structure that was not contoured is unknown, not background. It is background only where nobody can have it: no
liver in a picture of the head.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from MaskWhatMattersLib.datasets.manifest import ManifestRow, read_manifest
from MaskWhatMattersLib.progress import Progress
from MaskWhatMattersLib.relevance.builtin.slices import SliceStack, slice_labels, slice_volume
from MaskWhatMattersLib.volumes import Volume, read_volume

IGNORED = 255
"""Label of pixels about which nothing is known."""

CONCEPTS = (
    "left lung",
    "right lung",
    "brain tumor",
    "left atrium",
    "left ventricle",
    "right ventricle",
    "myocardium",
    "liver",
    "spleen",
    "left kidney",
    "right kidney",
    "hippocampus",
    "anterior hippocampus",
    "posterior hippocampus",
    "mandible",
    "brain stem",
    "spinal cord",
    "left parotid gland",
    "right parotid gland",
    "larynx",
    "oesophagus",
    "brain",
    "cerebellum",
    "lateral ventricle",
)
MODALITIES = ("CT", "MR", "XR")

_LUNGS = {"left lung", "right lung"}
_HEART = {"left atrium", "left ventricle", "right ventricle", "myocardium"}
_ABDOMEN = {"liver", "spleen", "left kidney", "right kidney"}
_HEAD = {
    "brain tumor",
    "hippocampus",
    "anterior hippocampus",
    "posterior hippocampus",
    "brain",
    "cerebellum",
    "lateral ventricle",
}
_NECK = {"mandible", "left parotid gland", "right parotid gland", "larynx"}
_SIDED = (("left lung", "right lung"), ("left kidney", "right kidney"), ("left parotid gland", "right parotid gland"))
MIRRORED = {name: other for pair in _SIDED for name, other in (pair, pair[::-1])}
"""What a concept becomes when the picture is mirrored."""


@dataclass(frozen=True)
class SourceSet:
    """One data set.

    Attributes:
        name: As in the manifest.
        url: Where it comes from.
        licence: Short text for the model card.
        permissive: Whether a model for any use may rest on it.
        modality: "CT", "MR" or "XR".
        labels: Label -> concepts that it is part of.
        impossible: Concepts that cannot be in these images.
        weight: Share of the training batches, relative.
        mirrored: Whether a mirrored image is as good as the original.
        unknown_below: Structures contoured only down to the end of a treatment field.
    """

    name: str
    url: str
    licence: str
    permissive: bool
    modality: str
    labels: dict[int, tuple[str, ...]]
    impossible: frozenset[str]
    weight: float
    mirrored: bool = False
    unknown_below: tuple[str, ...] = ()

    @property
    def is_pictures(self) -> bool:
        """Whether its images are single pictures rather than volumes."""
        return "_2d_" in self.name or "xray" in self.name


SOURCES = (
    SourceSet(
        "chest_xray_kermany_lungmask",
        "https://doi.org/10.17632/rscbjbr9sj.2",
        "CC BY 4.0",
        True,
        "XR",
        {1: ("right lung",), 2: ("left lung",)},
        frozenset(_HEAD | {"left parotid gland", "right parotid gland"}),
        0.6,
    ),
    SourceSet(
        "chest_xray_covid_lungmask",
        "https://github.com/ieee8023/covid-chestxray-dataset",
        "images: per image, some not stated; masks: CC BY 4.0",
        False,
        "XR",
        {1: ("right lung",), 2: ("left lung",)},
        frozenset(_HEAD | {"left parotid gland", "right parotid gland"}),
        0.6,
    ),
    SourceSet(
        "brain_tumor_2d_br35h_masks",
        "https://www.kaggle.com/datasets/ahmedhamada0/brain-tumor-detection",
        "not stated",
        False,
        "MR",
        {label: ("brain tumor",) for label in range(1, 10)},
        frozenset(_LUNGS | _HEART | _ABDOMEN),
        2.0,
        mirrored=True,
    ),
    SourceSet(
        "brain_tumor_2d_figshare",
        "https://doi.org/10.6084/m9.figshare.1512427.v5",
        "CC BY 4.0",
        True,
        "MR",
        {1: ("brain tumor",)},
        frozenset(_LUNGS | _HEART | _ABDOMEN),
        1.6,
        mirrored=True,
    ),
    SourceSet(
        "acdc_cardiac_mr",
        "https://www.creatis.insa-lyon.fr/Challenge/acdc/",
        "challenge terms, non-commercial",
        False,
        "MR",
        {1: ("right ventricle",), 2: ("myocardium",), 3: ("left ventricle",)},
        frozenset(_HEAD | _NECK),
        1.6,
    ),
    SourceSet(
        "left_atrium",
        "https://www.cardiacatlas.org/atriaseg2018-challenge/",
        "challenge data for research",
        False,
        "MR",
        {1: ("left atrium",)},
        frozenset(_HEAD | _NECK),
        2.0,
    ),
    SourceSet(
        "chaos_abdomen_mr_t2",
        "https://doi.org/10.5281/zenodo.3431873",
        "challenge terms, believed CC BY-SA 4.0 (unverified)",
        False,
        "MR",
        {1: ("liver",), 2: ("right kidney",), 3: ("left kidney",), 4: ("spleen",)},
        frozenset(_HEAD | _NECK),
        3.0,
    ),
    SourceSet(
        "openkbp_hn_ct",
        "https://github.com/ababier/open-kbp",
        "MIT",
        True,
        "CT",
        {
            1: ("brain stem",),
            2: ("spinal cord",),
            3: ("right parotid gland",),
            4: ("left parotid gland",),
            5: ("oesophagus",),
            6: ("larynx",),
            7: ("mandible",),
        },
        frozenset(_HEART | _ABDOMEN),
        3.5,
        mirrored=True,
        unknown_below=("spinal cord", "oesophagus"),
    ),
    SourceSet(
        "hippocampus_mr",
        "http://medicaldecathlon.com/",
        "CC BY-SA 4.0",
        True,
        "MR",
        {1: ("hippocampus", "anterior hippocampus"), 2: ("hippocampus", "posterior hippocampus")},
        frozenset(_LUNGS | _HEART | _ABDOMEN | _NECK | {"brain tumor"}),
        1.4,
        mirrored=True,
    ),
    SourceSet(
        "brain_mr_3d",
        "https://github.com/voxelmorph/voxelmorph",
        "Apache-2.0 (training volume)",
        True,
        "MR",
        {
            **{label: ("brain",) for label in range(1, 17)},
            3: ("brain", "lateral ventricle"),
            4: ("brain", "cerebellum"),
            5: ("brain", "cerebellum"),
            12: ("brain", "brain stem"),
            13: ("brain", "hippocampus"),
        },
        frozenset(_LUNGS | _HEART | _ABDOMEN | {"brain tumor"}),
        0.9,
        mirrored=True,
    ),
    SourceSet(
        "chest_ct_2d_covidct",
        "https://github.com/UCSD-AI4H/COVID-CT",
        "not stated",
        False,
        "CT",
        {},
        frozenset(_HEAD | _NECK),
        0.2,
        mirrored=True,
    ),
)
BY_NAME = {source.name: source for source in SOURCES}


@dataclass(frozen=True, eq=False)
class SlicedCase:
    """One image in slices, with its labels.

    Attributes:
        source: The set it comes from.
        row: Its line of the manifest.
        images: uint8 [S, SIDE, SIDE].
        labels: uint8 [S, SIDE, SIDE]; `IGNORED` where unknown.
        known: bool [S, K]: whether the labels say anything about the concept in that slice.
        context: Distance of the neighbours, in slices.
    """

    source: SourceSet
    row: ManifestRow
    images: Tensor
    labels: Tensor
    known: Tensor
    context: int


def load_cases(folder: Path, split: str, *, permissive_only: bool, progress: Progress) -> list[SlicedCase]:
    """Slice every usable image of a split.

    Args:
        folder: Data folder with MANIFEST.csv.
        split: "train", "val" or "test".
        permissive_only: Leave out research-only sets and the no-tumour slices, whose licence is not stated.
        progress: Told of every case.
    """
    rows = [
        row
        for row in read_manifest(folder)
        if row.split == split
        and row.dataset in BY_NAME
        and (BY_NAME[row.dataset].permissive or not permissive_only)
        and not (permissive_only and "no_tumor" in row.note)
    ]
    progress.stage("Reading the scans", total=len(rows))
    cases = []
    for row in rows:
        case = _load_case(row)
        if case is not None:
            cases.append(case)
        progress.step()
    return cases


def lookup_table(source: SourceSet) -> Tensor:
    """Which concepts a label is part of, bool [256, K]."""
    table = torch.zeros(256, len(CONCEPTS), dtype=torch.bool)
    for label, concepts in source.labels.items():
        for concept in concepts:
            table[label, CONCEPTS.index(concept)] = True
    return table


def _load_case(row: ManifestRow) -> SlicedCase | None:
    source = BY_NAME[row.dataset]
    volume = read_volume(row.image)
    stack = slice_volume(volume, source.modality, every_slice=True)
    labels = _labels_of(row, stack)
    contoured = {concept for label in labels.unique().tolist() for concept in source.labels.get(label, ())}
    if "no_tumor" in row.note:
        contoured.add("brain tumor")
    if row.dataset == "brain_mr_3d" and row.split == "test":
        return None  # tissue maps only: they say nothing about structures
    known = torch.zeros(len(labels), len(CONCEPTS), dtype=torch.bool)
    table = lookup_table(source)
    for column, concept in enumerate(CONCEPTS):
        known[:, column] = concept in contoured or concept in source.impossible
        if concept in source.unknown_below and concept in contoured:
            present = table[labels.long()][..., column].flatten(1).any(1)
            known[: int(present.nonzero()[0]), column] = False
    if not known.any():
        return None
    return SlicedCase(source, row, (stack.images * 255).round().to(torch.uint8), labels, known, stack.context)


def _labels_of(row: ManifestRow, stack: SliceStack) -> Tensor:
    """Labels of a case in slices; boxes become an ellipse with an unknown rim, one lung label becomes two."""
    if row.label_map is None:
        boxes = labels_from_boxes(row.note, stack.source.spatial_shape[1:])
        return stack.fit(torch.from_numpy(boxes)[None], nearest=True).to(torch.uint8)
    labels = slice_labels(stack, _on_grid(read_volume(row.label_map), stack.source))
    if row.dataset == "brain_tumor_2d_figshare":
        return (labels > 127).to(torch.uint8)
    if row.dataset == "chest_xray_kermany_lungmask":
        return _split_lungs(labels)
    return labels


def _on_grid(labels: Volume, image: Volume) -> Volume:
    return image.with_array(labels.array) if not image.has_physical_scale else labels


def labels_from_boxes(note: str, shape: tuple[int, int], *, rim: bool = True) -> NDArray[np.uint8]:
    """Tumours known by their boxes, centre and size as shares of the picture, uint8 [H, W].

    Outlined tumours of the same set fill about the ellipse inscribed in their box. With `rim` its outer part and a
    little more is `IGNORED` and the core is 1; without, the whole ellipse is 1.
    """
    height, width = shape
    labels = np.zeros(shape, np.uint8)
    rows, columns = np.mgrid[0:height, 0:width]
    found = re.search(r"=(\[\[.*\]\])", note)
    distance = np.full(shape, np.inf)
    for centre_x, centre_y, box_width, box_height in json.loads(found.group(1)) if found else []:
        across = ((columns + 0.5) / width - centre_x) / (box_width / 2)
        down = ((rows + 0.5) / height - centre_y) / (box_height / 2)
        distance = np.minimum(distance, np.hypot(across, down))
    if rim:
        labels[distance <= 1.3] = IGNORED
    labels[distance <= (0.75 if rim else 1.0)] = 1
    return labels


def _split_lungs(labels: Tensor) -> Tensor:
    """One label for both lungs becomes 1 (picture's left: the patient's right lung) and 2; unknown if they touch."""
    lungs = labels[0].numpy() == 1
    parts, count = ndimage.label(lungs)
    result = np.where(labels[0].numpy() == IGNORED, IGNORED, 0).astype(np.uint8)
    sizes = ndimage.sum_labels(lungs, parts, range(1, count + 1)) if count else np.zeros(0)
    large = [index + 1 for index in np.argsort(sizes)[::-1][:2] if sizes[index] > 0.15 * sizes.max()]
    result[lungs] = IGNORED
    if len(large) == 2:
        ordered = sorted(large, key=lambda part: ndimage.center_of_mass(parts == part)[1])
        result[parts == ordered[0]], result[parts == ordered[1]] = 1, 2
    return torch.from_numpy(result)[None]
