"""Find the images of a training: in a folder, a manifest or COCO annotations, with splits by patient."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Literal

from MaskWhatMattersLib.datasets.cases import joined
from MaskWhatMattersLib.datasets.image_cases import ImageCase, ImageCases
from MaskWhatMattersLib.datasets.image_folders import folder_images, is_picture, require_there
from MaskWhatMattersLib.datasets.image_preprocessing import ImagePreprocessing
from MaskWhatMattersLib.datasets.labels import (
    box_label_map,
    boxes_in,
    class_in,
    contoured_in,
    label_names_in,
    notes_on_contours,
    read_coco,
)
from MaskWhatMattersLib.datasets.manifest import FILE_NAME, ManifestRow, read_table
from MaskWhatMattersLib.datasets.splits import assign_splits, notes_on_unnamed, patient_in, split_in
from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.volumes import Volume, base_name, is_volume_path

LabelledTask = Literal["classification", "detection", "segmentation"]

_ABOVE = 3
"""So many folders above the data a manifest is looked for."""


def find_images(data: Path, preprocessing: ImagePreprocessing, *, labels: Path | None = None) -> ImageCases:
    """Images to learn from without labels; label maps and boxes are kept, since they may say what is relevant.

    Args:
        data: A folder, searched recursively; a table (CSV with a column path, and where known patient, split, label,
            label_path); or one image. A folder that a MANIFEST.csv in or above it lists is read through that.
        preprocessing: 3D leaves pictures out.
        labels: Folder of label maps named like their images.

    Raises:
        InputError: No image, files that are missing, or names that do not match; all such problems at once.
    """
    found = _found(data, labels, preprocessing.spatial_dims, None)
    found.raise_problems()
    return ImageCases(assign_splits(found.cases, 0.0, 0), tuple(found.notes), found.label_names or {})


def find_labelled(
    data: Path,
    task: LabelledTask,
    *,
    validation: float,
    seed: int,
    preprocessing: ImagePreprocessing | None = None,
    labels: Path | None = None,
) -> ImageCases:
    """Images with what a task learns from, divided by patients.

    Images without it are left out and counted. Given splits are kept; else whole patients are drawn for validation.

    Args:
        data: As for `find_images`. Classification: a folder per class, or a column label. Detection: label maps with
            instances 1..n, boxes in the column label, or COCO annotations (a JSON file in the folder).
        task: What is learned.
        validation: Share of the patients for validation, where no split is given.
        seed: Of that draw.
        preprocessing: 3D leaves pictures out; None: whatever there is.
        labels: Folder of label maps named like their images.

    Raises:
        InputError: No image with a label, a patient in two splits, a class that cannot be learned or judged, names
            that do not match; all such problems at once.
    """
    dims = None if preprocessing is None else preprocessing.spatial_dims
    found = _found(data, labels, dims, task)
    if task == "detection":
        _add_coco(data, found)
    if task == "classification":
        labelled = [case for case in found.cases if case.class_name is not None]
        what = "class"
    else:
        labelled = [case for case in found.cases if case.label_map is not None]
        what = "label map" if task == "segmentation" else "outline or box"
    if found.cases and not labelled:
        found.problems.append(_no_label(task, len(found.cases)))
    elif lacking := len(found.cases) - len(labelled):
        found.notes.append(f"{lacking} of {len(found.cases)} images have no {what} and are left out.")
    if task == "segmentation" and found.label_names is None:
        found.problems.append("One value means different things in different label maps; learn from one set at a time.")
    cases: Sequence[ImageCase] = labelled
    if labelled:
        try:
            cases = assign_splits(labelled, validation, seed, by_class=task == "classification")
        except InputError as error:
            found.problems.append(str(error))
        else:
            found.problems += _missing_from_splits(cases, task)
            if [case.split for case in cases] != [case.split for case in labelled]:
                found.notes += notes_on_unnamed(cases, found.unnamed)
    if task == "segmentation":
        found.notes += notes_on_contours([found.contoured.get(case.name, ()) for case in cases])
    found.raise_problems()
    return ImageCases(tuple(cases), tuple(found.notes), found.label_names or {})


@dataclass
class _Found:
    """What was found so far.

    Attributes:
        cases: In the order of their files or rows.
        problems: What must be put right.
        notes: What the person should know.
        label_names: Of values of label maps; None: sets contradict each other.
        unnamed: Names of cases that count as a patient of their own, since nothing says whose they are.
        contoured: By the name of a case: structures that somebody looked for in it, where the table says.
    """

    cases: list[ImageCase] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    label_names: dict[int, str] | None = field(default_factory=dict)
    unnamed: set[str] = field(default_factory=set)
    contoured: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def raise_problems(self) -> None:
        """All of them at once."""
        if self.problems:
            raise InputError(joined(self.problems))

    def patient(self, name: str, known: str | None) -> str:
        """Who is known to be on a case; otherwise somebody of whom there is no other image."""
        if not known:
            self.unnamed.add(name)
        return known or name

    def add_names(self, names: dict[int, str]) -> None:
        """Names of label values of one more label map."""
        if self.label_names is None or any(self.label_names.get(value, name) != name for value, name in names.items()):
            self.label_names = None
        else:
            self.label_names = dict(sorted({**self.label_names, **names}.items()))


def _found(data: Path, labels: Path | None, dims: Literal[2, 3] | None, task: LabelledTask | None) -> _Found:
    require_there(data)
    found = _Found()
    table = _table(data)
    if table is not None:
        file, rows = table
        _add_rows(file, rows, found, boxes=task in (None, "detection"))
    elif data.is_dir() and not is_volume_path(data):
        for each in folder_images(data, labels, found.problems, found.notes):
            known = patient_in(each.name, each.folder if task == "classification" else None)
            patient = found.patient(each.name, known)
            found.cases.append(ImageCase(each.name, each.image, patient, each.split, each.folder, each.label_map))
    elif is_volume_path(data):
        name = base_name(data)
        found.cases.append(ImageCase(name, data, found.patient(name, patient_in(name))))
    else:
        found.problems.append(f"{data} is no image. Give a folder of images, or a table with a column path (CSV).")
    _require_unique(found)
    _keep_dims(found, dims)
    if not found.cases and not found.problems:
        found.problems.append(f"{data} holds no image that can be read (NIfTI, NRRD, MetaImage, DICOM, PNG, JPEG).")
    return found


def _table(data: Path) -> tuple[Path, list[ManifestRow]] | None:
    """The table to go by, and its rows below `data`; one above counts where it lists something below."""
    if data.is_file():
        return (data, read_table(data)) if data.suffix.lower() == ".csv" else None
    folder = data.resolve()
    for parent in (folder, *folder.parents[:_ABOVE]):
        file = parent / FILE_NAME
        if file.is_file():
            rows = [row for row in read_table(file) if folder in row.image.parents]
            return (file, rows) if rows else None
    return None


def _add_rows(file: Path, rows: Iterable[ManifestRow], found: _Found, *, boxes: bool) -> None:
    missing: list[str] = []
    for row in rows:
        missing += [str(path) for path in (row.image, row.label_map) if path is not None and not path.exists()]
        split = split_in(row.split)
        if row.split and split is None:
            found.problems.append(f"Unknown split {row.split!r} of {row.image.name}. Use train, val or test.")
        name = _row_name(row.image, file.parent)
        label_map: Path | Volume | None = row.label_map
        try:
            if label_map is None and boxes and (drawn := boxes_in(row.note)) and row.image.exists():
                label_map = box_label_map(row.image, drawn)
        except InputError as error:
            found.problems.append(f"{name}: {error}")
        if row.label_map is not None:
            found.add_names(label_names_in(row.label_note))
            found.contoured[name] = contoured_in(row.label_note)
        patient = found.patient(name, row.patient or _row_patient(row, name))
        found.cases.append(ImageCase(name, row.image, patient, split, class_in(row.note), label_map))
    if missing:
        found.problems.append(
            f"{len(missing)} files that {file} names are missing: {', '.join(missing[:3])}"
            f"{', ...' if len(missing) > 3 else ''}. Copy them again, or take the rows out."
        )


def _row_name(image: Path, folder: Path) -> str:
    """Path from the table, without the format and the folder "images"."""
    place = PurePosixPath(image.relative_to(folder).as_posix() if image.is_relative_to(folder) else image.name)
    return "/".join((*(part for part in place.parts[:-1] if part != "images"), base_name(place.name)))


def _row_patient(row: ManifestRow, name: str) -> str | None:
    """Whom the name of a row's image names; sets have patients of their own."""
    patient = patient_in(name.removeprefix(f"{row.dataset}/"), class_in(row.note))
    return f"{row.dataset}/{patient}" if patient and row.dataset else patient


def _require_unique(found: _Found) -> None:
    again = [name for name, count in Counter(case.name for case in found.cases).items() if count > 1]
    if again:
        found.problems.append(
            f"{len(again)} names are there twice: {', '.join(again[:3])}{', ...' if len(again) > 3 else ''}. Rename "
            "the files, or leave one of each out."
        )


def _keep_dims(found: _Found, dims: Literal[2, 3] | None) -> None:
    if dims != 3:
        return
    volumes = [case for case in found.cases if isinstance(case.image, Volume) or not is_picture(case.image)]
    left_out = len(found.cases) - len(volumes)
    if left_out and not volumes:
        found.problems.append(f"3D learns from volumes; found {left_out} pictures only. Use 2D (--dims 2).")
    elif left_out:
        found.notes.append(f"{left_out} pictures are left out, since 3D learns from volumes.")
    found.cases = volumes


def _add_coco(data: Path, found: _Found) -> None:
    """Outlines from COCO files in the folder, or in "annotations" or a split's folder in it."""
    folder = data if data.is_dir() else data.parent
    files = [file for file in sorted((*folder.glob("*.json"), *folder.glob("*/*.json"))) if _is_coco(file)]
    for file in files:
        try:
            maps, names = read_coco(file)
        except InputError as error:
            found.problems.append(str(error))
            continue
        if len(names) > 1:
            found.notes.append(f"{file.name} has {len(names)} categories; detection does not tell them apart.")
        for index, case in enumerate(found.cases):
            if case.label_map is None and isinstance(case.image, Path):
                place = case.image.as_posix()
                drawn = next((maps[name] for name in maps if place.endswith("/" + name)), None)
                if drawn is not None and drawn.array.any():
                    found.cases[index] = replace(case, label_map=drawn)


def _is_coco(file: Path) -> bool:
    with file.open(encoding="utf-8", errors="replace") as lines:
        return '"annotations"' in lines.read()


def _no_label(task: str, count: int) -> str:
    advice = {
        "classification": "Put the images of each class into a folder of its own, or name the class in a column label",
        "detection": "Put instance label maps into a folder masks beside images, or add COCO annotations",
        "segmentation": "Put label maps into a folder labels beside images, or name them in a column label_path",
    }[task]
    return f"None of the {count} images has what {task} learns from. {advice}."


def _missing_from_splits(cases: Sequence[ImageCase], task: str) -> list[str]:
    """Splits and classes that cannot be learned or judged."""
    problems = [
        f'No image is {purpose} (split "{split}"); found {len(cases)} in others. Correct the splits, or add images.'
        for split, purpose in (("train", "to learn from"), ("val", "for validation"))
        if all(case.split != split for case in cases)
    ]
    if task != "classification":
        return problems
    classes = sorted({str(case.class_name) for case in cases})
    if len(classes) < 2:
        problems.append(f"Classification needs two classes or more; found only {classes[0]}. Add images of another.")
    learned = {case.class_name for case in cases if case.split == "train"}
    if lacking := [name for name in classes if name not in learned]:
        problems.append(
            f"No image to learn from has the class {', '.join(lacking)}. Add some to the split train, or take the "
            "class out."
        )
    return problems
