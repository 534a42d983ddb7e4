"""Cases of a training: an image and, for some, its label map; read once, with every problem reported together."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.progress import Progress, SilentProgress
from MaskWhatMattersLib.volumes import (
    Volume,
    read_volume,
    require_3d,
    require_finite,
    require_same_grid,
    require_scalar,
)

Role = Literal["labelled", "unlabelled", "validation"]

_AIR_HU = -200
"""Nothing but CT stores values this low; magnitude MR has none below zero."""


@dataclass(frozen=True)
class TrainingCase:
    """One scan.

    Attributes:
        name: Short and unique among the cases.
        image: File, DICOM folder, or the volume itself.
        label_map: On the image's grid; None where nobody has drawn one.
        foreground: The value in the label map that is learned, all others being background. None: the label map holds
            0 and 1 only.
    """

    name: str
    image: Path | Volume
    label_map: Path | Volume | None = None
    foreground: int | None = None


@dataclass(frozen=True)
class CornCases:
    """Who takes part in a training, and as what.

    Attributes:
        labelled: Learned from with their label maps.
        unlabelled: Learned from without.
        validation: Have label maps, and are never learned from.
        notes: What the person should know about the choice, one sentence each.
    """

    labelled: tuple[TrainingCase, ...]
    unlabelled: tuple[TrainingCase, ...] = ()
    validation: tuple[TrainingCase, ...] = ()
    notes: tuple[str, ...] = ()

    def with_roles(self) -> Iterator[tuple[Role, TrainingCase]]:
        """Every case: labelled ones first, then unlabelled, then validation."""
        for case in self.labelled:
            yield "labelled", case
        for case in self.unlabelled:
            yield "unlabelled", case
        for case in self.validation:
            yield "validation", case


def read_case(case: TrainingCase) -> tuple[Volume, Volume | None]:
    """Image [1, D, H, W] as stored, and its label map with 0 and 1 as uint8.

    Raises:
        InputError: Unreadable, several values per voxel, NaN, or labels that are not understood.
        GeometryError: A single slice, or a label map on another grid than its image.
    """
    image = require_finite(require_3d(require_scalar(loaded(case.image))))
    if case.label_map is None:
        return image, None
    label_map = require_scalar(loaded(case.label_map))
    require_same_grid(label_map, image, case.name)
    return image, _binary(case, label_map)


def read_cases(
    cases: CornCases, progress: Progress | None = None
) -> Iterator[tuple[Role, TrainingCase, Volume, Volume | None]]:
    """Read and check every case once, in the order of `CornCases.with_roles`.

    Whoever iterates can prepare each scan as it comes and let go of the file's own voxels. A case that cannot be used
    is left out; when all have been read, the problems of all are raised together.

    Raises:
        InputError: No labelled case, or at the end: each case that cannot be used, and each that is there twice.
    """
    progress = progress or SilentProgress()
    if not cases.labelled:
        raise InputError("A training needs at least one labelled case; found none. Give a scan with its label map.")
    for note in cases.notes:
        progress.log(note)
    everybody = list(cases.with_roles())
    problems = _named_twice(everybody)
    first_with: dict[str, tuple[Role, TrainingCase]] = {}
    progress.stage("Reading the scans", len(everybody))
    for role, case in everybody:
        try:
            image, label_map = read_case(case)
        except InputError as error:
            problems.append(_with_name(case, str(error)))
            progress.step()
            continue
        if looks_like_ct(image):
            progress.log(
                f"{case.name} looks like CT (values from {image.array.min():g}); these networks are made for MR, so "
                "check that it belongs here."
            )
        before = first_with.setdefault(_content(image), (role, case))
        if before[1] is not case:
            _report_same_voxels(before, (role, case), problems.append, progress.log)
        progress.step()
        yield role, case, image, label_map
    if problems:
        raise InputError(joined(problems))


def looks_like_ct(volume: Volume) -> bool:
    """Whether the volume says that it is CT, or says nothing and holds Hounsfield units of air."""
    if volume.modality is not None:
        return volume.modality == "CT"
    return volume.array.dtype.kind in "if" and float(volume.array.min()) <= _AIR_HU


def joined(problems: list[str], most: int = 12) -> str:
    """Problems as one text, a line each; many are counted rather than listed."""
    shown = problems[:most]
    if len(problems) > most:
        shown = [*shown, f"... and {len(problems) - most} more problems of the same kinds."]
    return "\n".join(shown)


def loaded(source: Path | Volume) -> Volume:
    """The volume itself, read from its file where it is one."""
    return source if isinstance(source, Volume) else read_volume(source)


def _with_name(case: TrainingCase, text: str) -> str:
    """The problem, with the case in front unless it is named already."""
    return text if case.name in text else f"{case.name}: {text}"


def _binary(case: TrainingCase, label_map: Volume) -> Volume:
    """1 where the foreground is, uint8."""
    values = np.unique(label_map.array)
    found = ", ".join(f"{value:g}" for value in values[:12]) + (", ..." if len(values) > 12 else "")
    if case.foreground is None and not set(values.tolist()) <= {0, 1}:
        offer = next(f"{value:g}" for value in values if value not in (0, 1))
        raise InputError(
            f"The label map of {case.name} must hold 0 and 1 only; found {found}. Say which value is the structure, "
            f"for example --foreground {offer} (foreground={offer} in Python); all others become background."
        )
    wanted = 1 if case.foreground is None else case.foreground
    binary = (label_map.array == wanted).astype(np.uint8)
    if not binary.any():
        raise InputError(
            f"The label map of {case.name} marks nothing: no voxel holds {wanted}; found {found}. Draw the structure, "
            "name its value (--foreground VALUE), or leave the case out."
        )
    return label_map.with_array(binary)


def _content(image: Volume) -> str:
    """The same for the same voxels, whatever type they are stored in."""
    digest = hashlib.blake2b(repr(image.spatial_shape).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(image.array, dtype=np.float32).data)
    return digest.hexdigest()


def _named_twice(everybody: list[tuple[Role, TrainingCase]]) -> list[str]:
    """Cases that share a name."""
    first: dict[str, Role] = {}
    problems = []
    for role, case in everybody:
        if case.name in first:
            problems.append(
                f"{case.name} is there twice: as {first[case.name]} and as {role}. Leave it out of one of them, or "
                "rename it where it is another scan."
            )
        first.setdefault(case.name, role)
    return problems


def _report_same_voxels(
    before: tuple[Role, TrainingCase],
    after: tuple[Role, TrainingCase],
    refuse: Callable[[str], None],
    remark: Callable[[str], None],
) -> None:
    """A scan in two roles would be judged on what it taught; twice in one role it only counts double."""
    (first_role, first), (role, case) = before, after
    if case.name == first.name:
        return  # reported already, with its name
    same = f"{first.name} ({first_role}) and {case.name} ({role}) hold the same voxels"
    if role == first_role == "unlabelled":
        remark(f"{same}; the scan counts twice.")
    else:
        refuse(f"{same}: one scan is there twice. Leave one of them out.")
