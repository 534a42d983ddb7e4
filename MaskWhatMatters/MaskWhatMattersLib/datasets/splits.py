"""Who is learned from and who is not: whole patients, by a hash that new patients do not disturb."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from MaskWhatMattersLib.datasets.image_cases import ImageCase, Split
from MaskWhatMattersLib.errors import InputError

SPLIT_WORDS: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
"""What folders and columns call a split."""
_PATIENT = re.compile(r"(?:sub|subject|patient|pat|person|pt)[-_ ]?[a-z]*\d+", re.IGNORECASE)


def patient_in(name: str) -> str:
    """The patient that the name of a case names ("sub-01", "patient001", "pt_12"); the whole name otherwise."""
    parts = PurePosixPath(name).parts
    for place, part in enumerate(parts):
        if found := _PATIENT.match(part):
            return "/".join((*parts[:place], found[0]))
    return name


def assign_splits(
    cases: Iterable[ImageCase], validation: float, seed: int, *, by_class: bool = False
) -> tuple[ImageCase, ...]:
    """Every case with its split.

    Given splits stay. Other images of a patient who has one share it; the rest is learned from. Where nobody is for
    validation, a share of the patients is drawn from those who would be learned from, by a hash of seed and patient.

    Args:
        cases: In any state.
        validation: Share of the patients for validation, where none is given.
        seed: Of the draw.
        by_class: Draw the same share of each class, so that none is missing.

    Raises:
        InputError: A patient in two splits, or nobody to learn from or to validate with.
    """
    everybody = tuple(cases)
    split_of: dict[str, Split] = {}
    problems: list[str] = []
    for case in everybody:
        if case.split is not None and split_of.setdefault(case.patient, case.split) != case.split:
            problems.append(
                f"The patient {case.patient} is in two splits, {split_of[case.patient]} and {case.split} (found at "
                f"{case.name}). Keep all images of a patient in one split."
            )
    if problems:
        raise InputError("\n".join(dict.fromkeys(problems)))
    everybody = tuple(replace(case, split=split_of.get(case.patient, "train")) for case in everybody)
    if validation > 0 and "val" not in split_of.values():
        learned = [case for case in everybody if case.split == "train"]
        chosen = _drawn(_patients_by_class(learned, by_class), validation, seed)
        everybody = tuple(replace(case, split="val") if case.patient in chosen else case for case in everybody)
    return everybody


def keep_patients(cases: Sequence[ImageCase], share: float, seed: int) -> tuple[ImageCase, ...]:
    """A share of the patients of each class, at least one of each, with all of their images.

    A larger share holds every patient of a smaller one.
    """
    if share >= 1:
        return tuple(cases)
    kept: set[str] = set()
    for patients in _patients_by_class(cases).values():
        ranked = _ranked(patients, seed)
        kept.update(ranked[: max(1, round(share * len(ranked)))])
    return tuple(case for case in cases if case.patient in kept)


def _drawn(groups: Mapping[str | None, Sequence[str]], share: float, seed: int) -> set[str]:
    """Patients for validation: of each group its share, at least one, and never all."""
    chosen: set[str] = set()
    for name, patients in groups.items():
        ranked = _ranked(patients, seed)
        if len(ranked) < 2:
            of_class = f'The class "{name}" has' if name is not None else "There is"
            raise InputError(
                f"{of_class} 1 patient ({ranked[0]}); found nobody to validate with. Add images of other patients, "
                "or name the patients in a manifest (columns path, patient) where these are several."
            )
        chosen.update(ranked[: min(len(ranked) - 1, max(1, round(share * len(ranked))))])
    return chosen


def _patients_by_class(cases: Iterable[ImageCase], by_class: bool = True) -> dict[str | None, list[str]]:
    """Each patient once, under the class of his first image; all under None where classes do not matter."""
    class_of: dict[str, str | None] = {}
    for case in cases:
        class_of.setdefault(case.patient, case.class_name if by_class else None)
    grouped: defaultdict[str | None, list[str]] = defaultdict(list)
    for patient, name in class_of.items():
        grouped[name].append(patient)
    return dict(grouped)


def _ranked(patients: Iterable[str], seed: int) -> list[str]:
    """Patients in an order that depends on seed and name alone."""
    return sorted(patients, key=lambda patient: hashlib.blake2b(f"{seed} {patient}".encode(), digest_size=8).digest())
