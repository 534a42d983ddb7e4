"""One image of a pretraining or finetuning: where it is, whose it is, and what is known about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.volumes import Volume

Split = Literal["train", "val", "test"]


@dataclass(frozen=True)
class ImageCase:
    """One picture or volume.

    Attributes:
        name: Short and unique among the cases.
        image: File, DICOM folder, or the volume itself.
        patient: Cases of one patient are never divided over splits.
        split: "train", "val" or "test"; None where it is still to be chosen.
        class_name: Of the image (classification); None where unknown.
        label_map: Classes (segmentation) or instances (detection) on the image's grid; None where nothing is drawn.
    """

    name: str
    image: Path | Volume
    patient: str
    split: Split | None = None
    class_name: str | None = None
    label_map: Path | Volume | None = None


@dataclass(frozen=True)
class ImageCases:
    """Images of a training, in a fixed order.

    Attributes:
        cases: Every image with its split.
        notes: What the person should know about the choice, one sentence each.
        label_names: What the values of the label maps mean, where somebody has said so.
    """

    cases: tuple[ImageCase, ...]
    notes: tuple[str, ...] = ()
    label_names: Mapping[int, str] = field(default_factory=dict)

    @property
    def classes(self) -> tuple[str, ...]:
        """Every class that an image has, sorted."""
        return tuple(sorted({case.class_name for case in self.cases if case.class_name is not None}))

    def of(self, split: Split) -> tuple[ImageCase, ...]:
        """Cases of one split."""
        return tuple(case for case in self.cases if case.split == split)

    def learned_from(self) -> ImageCases:
        """Only images of the split "train", or of no split: validation and test stay unseen.

        Raises:
            InputError: There is none.
        """
        kept = tuple(case for case in self.cases if case.split in (None, "train"))
        if not kept:
            raise InputError(
                f'None of the {len(self.cases)} images is of the split "train", so there is nothing to learn from. '
                "Name the splits in the manifest, or leave them out."
            )
        left = len(self.cases) - len(kept)
        note = (f"{left} images of the splits val and test are left out.",) if left else ()
        return ImageCases(kept, (*self.notes, *note))
