"""A share of the training patients, to measure what a pretrained encoder is worth when labels are few."""

from __future__ import annotations

from dataclasses import replace

from MaskWhatMattersLib.datasets.image_cases import ImageCases
from MaskWhatMattersLib.datasets.splits import keep_patients


def with_label_fraction(cases: ImageCases, fraction: float, seed: int) -> ImageCases:
    """Leave out whole patients of the training split, told as a note; validation and test stay as they are.

    Args:
        cases: Images with their splits.
        fraction: Share of the training patients that stays, above 0 to 1; of each class at least one.
        seed: Of the choice; a smaller share is part of every larger one.
    """
    if fraction >= 1:
        return cases
    everyone = cases.of("train")
    kept = {case.patient for case in keep_patients(everyone, fraction, seed)}
    patients = len({case.patient for case in everyone})
    note = f"{len(kept)} of {patients} training patients are used (label_fraction {fraction:g})."
    left = tuple(case for case in cases.cases if case.split != "train" or case.patient in kept)
    return replace(cases, cases=left, notes=(*cases.notes, note))
