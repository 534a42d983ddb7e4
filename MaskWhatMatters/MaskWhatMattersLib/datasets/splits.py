"""Who is learned from and who is not: whole patients, by a hash that new patients do not disturb."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import NamedTuple

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
_PATIENT = re.compile(
    r"(?<![a-z0-9])(?:sub-[a-z0-9]*\d[a-z0-9]*|(?:subject|subj|sub|patient|pat|person|pt)(?:[-_ ]?|[-_ ][a-z]+)\d+)",
    re.IGNORECASE,
)
_SLICE = re.compile(r"(?:(?:^|[-_. ]+)(?:slice|frame|z)|[-_. ]+(?:image|img))[-_ ]?\d+$", re.IGNORECASE)
_NUMBERED = re.compile(r"(?<!^t)(?<![^a-z0-9]t)\d(?!d(?![a-z0-9]))", re.IGNORECASE)
"""A number that tells things apart, as that of "ct7", and not those of "t1" and "2d"."""
_YEAR = re.compile(r"\d{4}$")


def split_in(word: str) -> Split | None:
    """The split that a folder's name says: "train", "valid", "test2017"; None where it says none."""
    return SPLIT_WORDS.get(_YEAR.sub("", word.lower()))


def patient_in(name: str, class_name: str | None = None) -> str | None:
    """The patient, or else the volume, that the name of a case names; None where it names neither.

    A patient is the same in every folder: "a/patient3_5" and "b/patient3_6" are "patient3". So is the volume whose
    slices are "volume_1_slice_1" and "volume_1_slice_2", but folders with a number of their own tell volumes apart
    ("case7/slice_1" is of "case7"). Images that are only numbered ("0001", "img_0001", "brain_slice_1") name nothing.

    Args:
        name: Path without the format.
        class_name: A folder of this name holds a class, whatever number it has.
    """
    *folders, stem = PurePosixPath(name).parts
    for part in (*folders, stem):
        if found := _PATIENT.search(part):
            return found[0]
    volume = _SLICE.sub("", stem)
    if volume == stem:
        return None
    naming = (*(each for each in folders if each != class_name and split_in(each) is None), volume)
    return "/".join(each for each in naming if _NUMBERED.search(each)) or None


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
                f"{case.name}). Keep all images of a patient in one split; where these are different people, name them "
                "in a manifest with the column patient."
            )
    if problems:
        raise InputError("\n".join(dict.fromkeys(problems)))
    everybody = tuple(replace(case, split=split_of.get(case.patient, "train")) for case in everybody)
    if validation > 0 and "val" not in split_of.values():
        learned = [case for case in everybody if case.split == "train"]
        chosen = _drawn(_patients_by_class(learned, by_class), validation, seed)
        everybody = tuple(replace(case, split="val") if case.patient in chosen else case for case in everybody)
    return everybody


def notes_on_unnamed(cases: Sequence[ImageCase], unnamed: Collection[str]) -> list[str]:
    """What to know where images are divided by patients, and it is not known whose they are.

    Args:
        cases: Every image that is divided.
        unnamed: Names of those that count as a patient of their own.
    """
    count = sum(case.name in unnamed for case in cases)
    if not count:
        return []
    return [
        f"{count} of {len(cases)} image names {'names' if count == 1 else 'name'} no patient; each counts as a patient "
        "of its own. If several are of one patient, name the patients in a manifest with the column patient."
    ]


def keep_patients(cases: Sequence[ImageCase], share: float, seed: int) -> tuple[ImageCase, ...]:
    """A share of the patients of each class, at least one of each, with all of their images.

    A larger share holds every patient of a smaller one.
    """
    if share >= 1:
        return tuple(cases)
    kept: set[str] = set()
    for patients, everybody in _patients_by_class(cases).values():
        kept.add(_ranked(everybody, seed)[0])
        kept.update(_ranked(patients, seed)[: round(share * len(patients))])
    return tuple(case for case in cases if case.patient in kept)


class _Group(NamedTuple):
    """Those of a class who have no image of a rarer one, in whose group they would be, and all of the class."""

    patients: list[str]
    everybody: list[str]


def _drawn(groups: Mapping[str | None, _Group], share: float, seed: int) -> set[str]:
    """Patients for validation: of each group its share, at least one where there are two, and never all."""
    chosen: set[str] = set()
    for name, (patients, everybody) in groups.items():
        ranked = _ranked(patients, seed)
        if len(everybody) < 2:
            of_class = f'The class "{name}" has' if name is not None else "There is"
            raise InputError(
                f"{of_class} 1 patient ({everybody[0]}); found nobody to validate with. Add images of other patients, "
                "or name the patients in a manifest (columns path, patient) where these are several."
            )
        chosen.update(ranked[: min(len(ranked) - 1, max(1, round(share * len(ranked))))])
    return chosen


def _patients_by_class(cases: Iterable[ImageCase], by_class: bool = True) -> dict[str | None, _Group]:
    """Each patient in one group, that of the rarest class of his images; one group, None, without classes."""
    patients_of: defaultdict[str | None, dict[str, None]] = defaultdict(dict)
    for case in cases:
        patients_of[case.class_name if by_class else None][case.patient] = None
    seen: set[str] = set()
    groups: dict[str | None, _Group] = {}
    for name, patients in sorted(patients_of.items(), key=lambda entry: (len(entry[1]), str(entry[0]))):
        groups[name] = _Group([patient for patient in patients if patient not in seen], list(patients))
        seen.update(patients)
    return groups


def _ranked(patients: Iterable[str], seed: int) -> list[str]:
    """Patients in an order that depends on seed and name alone."""
    return sorted(patients, key=lambda patient: hashlib.blake2b(f"{seed} {patient}".encode(), digest_size=8).digest())
