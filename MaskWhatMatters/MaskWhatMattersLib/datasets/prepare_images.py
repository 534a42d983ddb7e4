"""Every image of a training, read once and prepared for the device, with what is relevant and valid in it."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from MaskWhatMattersLib.datasets.ahead import ahead
from MaskWhatMattersLib.datasets.cases import joined, loaded, looks_like_ct
from MaskWhatMattersLib.datasets.device_scans import DeviceScans
from MaskWhatMattersLib.datasets.image_cases import ImageCase, ImageCases, Split
from MaskWhatMattersLib.datasets.image_grid import back_to_source, prepare_image, prepare_marks, valid_voxels
from MaskWhatMattersLib.datasets.image_preprocessing import ImagePreprocessing
from MaskWhatMattersLib.datasets.image_regions import ImageRegions
from MaskWhatMattersLib.datasets.labels import UNKNOWN, read_label_map
from MaskWhatMattersLib.datasets.relevance_cache import RelevanceCache
from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.masking.config import RegionConfig
from MaskWhatMattersLib.progress import Progress, SilentProgress
from MaskWhatMattersLib.volumes import Volume

__all__ = [
    "IN_REGION",
    "VALID",
    "PreparedImages",
    "back_to_source",
    "prepare_image",
    "prepare_images",
    "prepare_labelled",
    "prepare_marks",
    "valid_voxels",
]

IN_REGION, VALID = 1, 2
"""Bits of the marks beside the voxels of a pretraining."""


@dataclass(frozen=True)
class PreparedImages:
    """Images as an encoder sees them, before the z-score; every slice of a volume is an image of its own in 2D.

    Attributes:
        images: Grey values, uint8 [*spatial] each; sizes may differ.
        marks: For each image uint8 [*spatial]: the bits `IN_REGION` and `VALID` in a pretraining, labels in a
            finetuning; None where there are none.
        names: Of the case, with "#" and the number of the slice where there are several.
        cases: Where each image comes from.
        notes: What the person should know, one sentence each.
    """

    images: tuple[Tensor, ...]
    marks: tuple[Tensor | None, ...]
    names: tuple[str, ...]
    cases: tuple[ImageCase, ...]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.images)

    @property
    def bytes(self) -> int:
        """Memory that the images and marks take."""
        return sum(tensor.numel() for tensor in (*self.images, *self.marks) if tensor is not None)

    def labels(self) -> tuple[int, ...]:
        """Every value in the marks but background and `UNKNOWN`, rising."""
        found = {int(value) for marks in self.marks if marks is not None for value in torch.unique(marks)}
        return tuple(sorted(found - {0, UNKNOWN}))

    def of(self, split: Split) -> PreparedImages:
        """Images of one split."""
        chosen = [index for index, case in enumerate(self.cases) if case.split == split]
        return PreparedImages(
            tuple(self.images[index] for index in chosen),
            tuple(self.marks[index] for index in chosen),
            tuple(self.names[index] for index in chosen),
            tuple(self.cases[index] for index in chosen),
            self.notes,
        )

    def device_scans(self, device: torch.device | str = "cpu") -> DeviceScans:
        """The images on a device, ready to be cut into crops."""
        return DeviceScans(self.images, self.marks, device)


def prepare_images(
    cases: ImageCases | Sequence[ImageCase],
    preprocessing: ImagePreprocessing,
    region: RegionConfig | None = None,
    progress: Progress | None = None,
    cache: RelevanceCache | None = None,
    *,
    device: str = "auto",
) -> PreparedImages:
    """Images of a pretraining, with the region of each and its valid voxels.

    Args:
        cases: What to read; labels and splits do not matter.
        preprocessing: Size or spacing, and grey values.
        region: What is relevant; None: nothing.
        progress: Told of each image, and of what the person should know.
        cache: Where relevance is kept; that of the user when None.
        device: Where a localizer runs.

    Raises:
        InputError: Images that cannot be used, all named; no image; or a region that is in none of them.
    """
    progress = progress or SilentProgress()
    regions = ImageRegions(region or RegionConfig(), cache or RelevanceCache(), device, progress)

    def marks_of(case: ImageCase, image: Volume, prepared: Volume) -> NDArray[np.uint8]:
        marks = prepare_marks(valid_voxels(image), prepared, "labels").array * np.uint8(VALID)
        inside = regions.of(case, image)
        if inside is not None:
            marks |= prepare_marks(inside, prepared, "region").array * np.uint8(IN_REGION)
        return marks

    result = _prepare_all(cases, preprocessing, progress, marks_of)
    without = sum(not bool((marks & IN_REGION).any()) for marks in result.marks if marks is not None)
    about_regions = regions.notes(len(result), without)
    for note in about_regions:
        progress.log(note)
    return replace(result, notes=(*result.notes, *about_regions))


def prepare_labelled(
    cases: ImageCases | Sequence[ImageCase],
    preprocessing: ImagePreprocessing,
    progress: Progress | None = None,
    *,
    unknown: int = 0,
) -> PreparedImages:
    """Images of a finetuning, with their label maps as marks.

    Args:
        cases: What to read.
        preprocessing: Size or spacing, and grey values.
        progress: Told of each image, and of what the person should know.
        unknown: What becomes of voxels that nobody has decided about (`UNKNOWN`).

    Raises:
        InputError: Images or label maps that cannot be used, all named, or no image.
    """

    def marks_of(case: ImageCase, image: Volume, prepared: Volume) -> NDArray[np.uint8] | None:
        labels = read_label_map(case, image)
        if labels is None:
            return None
        marks = prepare_marks(labels, prepared, "labels").array
        return np.where(marks == UNKNOWN, np.uint8(unknown), marks)

    return _prepare_all(cases, preprocessing, progress or SilentProgress(), marks_of)


def _prepare_all(
    cases: ImageCases | Sequence[ImageCase],
    preprocessing: ImagePreprocessing,
    progress: Progress,
    marks_of: Callable[[ImageCase, Volume, Volume], NDArray[np.uint8] | None],
) -> PreparedImages:
    """Read and prepare one case after the other; the problems of all are raised together at the end.

    Args:
        cases: What to read.
        preprocessing: Size or spacing, and grey values.
        progress: Told of each case.
        marks_of: What is marked in a case, from its image as stored and as prepared; on the prepared grid.
    """
    wanted = cases.cases if isinstance(cases, ImageCases) else tuple(cases)
    entries: list[_Entry] = []
    problems: list[str] = []
    kinds: Counter[str] = Counter()
    first_with: dict[bytes, ImageCase] = {}
    again = blank = 0
    progress.stage("Preparing the images", len(wanted))
    for case, answer in ahead(partial(_read, preprocessing=preprocessing), wanted):
        try:
            image, prepared = answer()
            marks = marks_of(case, image, prepared)
        except InputError as error:
            problems.append(str(error) if case.name in str(error) else f"{case.name}: {error}")
        else:
            kinds[_kind(image)] += 1
            before = first_with.setdefault(_content(prepared), case)
            if before.split != case.split:
                problems.append(
                    f"{before.name} ({before.split}) and {case.name} ({case.split}) hold the same voxels, so that the "
                    "result would be judged on what it learned. Leave one of them out."
                )
            again += before is not case
            cut = list(_entries(case, prepared.array[0], None if marks is None else marks[0], preprocessing))
            kept = [entry for entry in cut if len(cut) == 1 or entry.image.min() < entry.image.max()]
            blank += len(cut) - len(kept)
            entries += kept
        progress.step(message=case.name)
    if problems:
        raise InputError(joined(problems))
    if not entries:
        raise InputError("There is no image to learn from; found none. Choose a folder with images.")
    images, marks_of_all, names, sources = zip(*entries, strict=True)
    notes = _notes(kinds, blank, again, images)
    for note in notes:
        progress.log(note)
    return PreparedImages(images, marks_of_all, names, sources, notes)


def _read(case: ImageCase, preprocessing: ImagePreprocessing) -> tuple[Volume, Volume]:
    """An image as stored, and prepared."""
    image = loaded(case.image)
    return image, prepare_image(image, preprocessing)


class _Entry(NamedTuple):
    image: Tensor
    marks: Tensor | None
    name: str
    case: ImageCase


def _entries(
    case: ImageCase, grey: NDArray[np.uint8], marks: NDArray[np.uint8] | None, preprocessing: ImagePreprocessing
) -> Iterator[_Entry]:
    """A volume as it is, or in 2D the slices that are taken."""
    if preprocessing.spatial_dims == 3:
        yield _Entry(_tensor(grey), None if marks is None else _tensor(marks), case.name, case)
        return
    for index in range(0, len(grey), preprocessing.every_slice):
        name = case.name if len(grey) == 1 else f"{case.name}#{index}"
        yield _Entry(_tensor(grey[index]), None if marks is None else _tensor(marks[index]), name, case)


def _tensor(array: NDArray[np.uint8]) -> Tensor:
    """The bytes themselves, not a view that keeps a whole volume alive."""
    return torch.from_numpy(np.array(array, order="C"))


def _kind(image: Volume) -> str:
    if not image.has_physical_scale:
        return "picture"
    return "CT" if looks_like_ct(image) else image.modality or "MR or other"


def _content(prepared: Volume) -> bytes:
    """The same for the same prepared voxels."""
    digest = hashlib.blake2b(repr(prepared.spatial_shape).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(prepared.array).data)
    return digest.digest()


def _notes(kinds: Counter[str], blank: int, again: int, images: Sequence[Tensor]) -> tuple[str, ...]:
    notes = []
    if len(kinds) > 1:
        listed = ", ".join(f"{count} x {kind}" for kind, count in kinds.most_common())
        notes.append(f"The images are of several kinds: {listed}. Check that they belong together.")
    sizes = sorted({tuple(image.shape) for image in images}, key=lambda shape: (np.prod(shape), shape))
    if len(sizes) > 1:
        smallest, largest = (" x ".join(map(str, shape)) for shape in (sizes[0], sizes[-1]))
        notes.append(f"The images differ in size, from {smallest} to {largest}; what a crop lacks is padded.")
    if again:
        notes.append(f"{again} images hold the same voxels as another one and count twice.")
    if blank:
        notes.append(f"{blank} slices without contrast are left out.")
    return tuple(notes)
