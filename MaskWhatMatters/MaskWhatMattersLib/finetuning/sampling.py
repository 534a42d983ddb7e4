"""Crops to learn from: half of them from anywhere, half from around what is labelled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from scipy import ndimage
from torch import Tensor

from MaskWhatMattersLib.datasets.device_scans import DeviceScans, PatchAugmentConfig, Patches
from MaskWhatMattersLib.datasets.labels import UNKNOWN
from MaskWhatMattersLib.datasets.prepare_images import PreparedImages


class BalancedCrops:
    """Draws crops of images of any size; small things would hardly ever be met by chance.

    The published recipe takes as many crops centred inside as outside of the labels; here the second half comes from
    the bounding box of one label of one image, widened by half a crop, with all labels met equally often.

    Where a crop is larger than its image, the labels say `UNKNOWN` beyond it: nobody has decided about nothing.

    Args:
        images: With label maps from 0 to 254, and `UNKNOWN`.
        size: Of a crop.
        device: Where images live and crops are made.
        each_label: False where labels number objects: one box around all that is labelled in an image.
    """

    def __init__(
        self, images: PreparedImages, size: Sequence[int], device: torch.device, *, each_label: bool = True
    ) -> None:
        self._size = tuple(size)
        regions = [
            (index, label, box)
            for index, marks in enumerate(images.marks)
            if marks is not None
            for label, box in label_boxes(
                marks if each_label else ((marks > 0) & (marks < UNKNOWN)).byte(), self._size
            ).items()
        ]
        # Kept one higher, so that the zeros around an image can be told from its background.
        shifted = (None if marks is None else _shifted(marks) for marks in images.marks)
        whole = replace(images, marks=tuple(shifted)).device_scans(device)
        self._count = len(whole)
        # Views into the same memory; they are standardized by the whole image, not by themselves.
        views = [whole.scans[index][box] for index, _, box in regions]
        marks = [_part(whole.label_maps[index], box) for index, _, box in regions]
        self._scans = DeviceScans([*whole.scans, *views], [*whole.label_maps, *marks], device)
        for place, (index, _, _) in enumerate(regions, start=self._count):
            self._scans.means[place], self._scans.deviations[place] = whole.means[index], whole.deviations[index]
        self._places_of: dict[int, list[int]] = {}
        for place, (_, label, _) in enumerate(regions, start=self._count):
            self._places_of.setdefault(label, []).append(place)

    def batch(self, count: int, augment: PatchAugmentConfig, seed: int) -> Patches:
        """So many crops, a pure function of the arguments."""
        generator = torch.Generator().manual_seed(seed)
        crop_seed, first = _draw(2**62, generator), _draw(2, generator)
        indices = [self._place((first + number) % 2 == 1, generator) for number in range(count)]
        images, labels = self._scans.patches(indices, self._size, augment, crop_seed)
        return Patches(images, torch.where(labels == 0, UNKNOWN, labels - 1))

    def _place(self, is_labelled: bool, generator: torch.Generator) -> int:
        if not is_labelled or not self._places_of:
            return _draw(self._count, generator)
        places = list(self._places_of.values())[_draw(len(self._places_of), generator)]
        return places[_draw(len(places), generator)]


def label_boxes(marks: Tensor, size: Sequence[int]) -> dict[int, tuple[slice, ...]]:
    """Bounding box of each label but 0 and 255, widened by half a crop and at least as large as one, where it fits.

    Args:
        marks: uint8 [*spatial].
        size: Of a crop.
    """
    found = ndimage.find_objects(marks.cpu().numpy().astype("int32"), max_label=254)
    boxes = {}
    for label, box in enumerate(found, start=1):
        if box is not None:
            sides = zip(box, size, marks.shape, strict=True)
            boxes[label] = tuple(_widened(part, wanted, length) for part, wanted, length in sides)
    return boxes


def _shifted(marks: Tensor) -> Tensor:
    return torch.where(marks == UNKNOWN, 0, marks + 1)


def _part(marks: Tensor | None, box: tuple[slice, ...]) -> Tensor | None:
    return None if marks is None else marks[box]


def _widened(part: slice, wanted: int, length: int) -> slice:
    start, stop = max(0, part.start - wanted // 2), min(length, part.stop + wanted // 2)
    start = max(0, min(start, length - wanted))
    return slice(start, min(length, max(stop, start + wanted)))


def _draw(count: int, generator: torch.Generator) -> int:
    return int(torch.randint(count, (1,), generator=generator))
