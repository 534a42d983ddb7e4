"""Find the cases of a training in folders: images and label maps are paired by name, `train.list` gives the order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from MaskWhatMattersLib.datasets.cases import CornCases, TrainingCase, joined, looks_like_ct, read_case, read_cases
from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.volumes import base_name, find_volume_paths

__all__ = [
    "ORDER_FILE",
    "CornCases",
    "Selection",
    "TrainingCase",
    "find_cases",
    "looks_like_ct",
    "read_case",
    "read_cases",
    "selection",
]

ORDER_FILE = "train.list"
"""Names of the cases that may be used, one per line, in the order of the protocol."""

Selection = int | Sequence[str] | Path
"""So many of them; these names; or the names in this text file."""


def selection(text: str) -> Selection:
    """What a person typed to choose cases: a number, the name of a text file, or names with commas between.

    Raises:
        InputError: Nothing was typed, or a negative number.
    """
    typed = text.strip()
    if typed.removeprefix("-").isdigit():
        if int(typed) < 0:
            raise InputError(f"The number of cases cannot be negative; found {typed}. Give 0 or more.")
        return int(typed)
    if Path(typed).is_file():
        return Path(typed)
    names = tuple(name.strip() for name in typed.split(",") if name.strip())
    if not names:
        raise InputError("No cases were named; give a number, names with commas between, or a text file of names.")
    return names


def find_cases(
    images: Path,
    labels: Path | None,
    labelled: Selection,
    *,
    unlabelled: Path | None = None,
    validation: Selection = 0,
    foreground: int | None = None,
) -> CornCases:
    """Divide a folder of images into labelled, unlabelled and validation cases.

    The order is that of `train.list` beside the images or beside their folder, which also says who takes part;
    without it the images in alphabetical order. The first N are labelled, the last N with a label map are for
    validation, and all others are unlabelled.

    Args:
        images: Folder, searched recursively; a case is called by its path in there, without the format.
        labels: Folder with a label map of the same name for each labelled case.
        labelled: Which cases are learned from with their label maps; a number counts from the front. Without
            `train.list` only images that have a label map are counted.
        unlabelled: Another folder of images to learn from.
        validation: Which cases measure the result; a number counts from the back.
        foreground: See `TrainingCase`.

    Raises:
        InputError: A folder is missing or empty, names do not match, no labelled case, more cases wanted than there
            are, or one case in two roles; all such problems at once.
    """
    problems: list[str] = []
    image_of = _volumes_by_name(images, "images", problems, without=(labels, unlabelled))
    label_of = _volumes_by_name(labels, "label maps", problems) if labels is not None else {}
    if problems:
        raise InputError(joined(problems))
    notes: list[str] = []
    order, has_list = _order(images, image_of, notes)
    if orphans := [name for name in label_of if name not in image_of]:
        problems.append(
            f"{_count(orphans, 'label map')} without an image of the same name: {_some(orphans)}. Name image and label "
            "map alike, or take the label map out of the folder."
        )
    ranked = _Ranked(order, image_of, label_of, problems)
    countable = order if has_list else [name for name in order if name in label_of]
    front = ranked.chosen(labelled, lambda count: countable[:count], countable, "labelled")
    behind = [name for name in countable if name in label_of]
    back = ranked.chosen(validation, lambda count: behind[-count:] if count else [], behind, "validation")
    if both := [name for name in front if name in back]:
        problems.append(
            f"{_count(both, 'case')} both labelled and for validation: {_some(both)}. There are {len(behind)} cases "
            "with a label map; ask for fewer of one of the two."
        )
    if not front:
        problems.append(
            f"There is no labelled case: {len(label_of)} label maps for {len(image_of)} images. Give --labels and "
            "--labelled 1 or more."
        )
    rest = [TrainingCase(name, image_of[name]) for name in order if name in image_of and name not in {*front, *back}]
    more = _more_unlabelled(unlabelled, images, image_of, {*front, *back}, problems)
    if problems:
        raise InputError(joined(problems))

    def with_label(name: str) -> TrainingCase:
        return TrainingCase(name, image_of[name], label_of[name], foreground)

    return CornCases(tuple(map(with_label, front)), (*rest, *more), tuple(map(with_label, back)), tuple(notes))


@dataclass(frozen=True)
class _Ranked:
    """Cases in their order; `chosen` adds to the problems."""

    order: Sequence[str]
    image_of: dict[str, Path]
    label_of: dict[str, Path]
    problems: list[str]

    def chosen(
        self, wanted: Selection, counted: Callable[[int], list[str]], countable: Sequence[str], role: str
    ) -> list[str]:
        """The cases wanted, as far as they can be used."""
        if isinstance(wanted, int):
            if wanted > len(countable):
                self.problems.append(
                    f"{wanted} {role} cases are wanted; found {len(countable)}. Ask for at most {len(countable)}."
                )
                return list(countable)
            names = counted(wanted)
        else:
            names = [self._known(name, role) for name in _names(wanted)]
        lacks_image = [name for name in names if name not in self.image_of]
        lacks_label_map = [name for name in names if name in self.image_of and name not in self.label_of]
        for what, lacking, there in (
            ("image", lacks_image, self.image_of),
            ("label map", lacks_label_map, self.label_of),
        ):
            if lacking:
                near = get_close_matches(lacking[0], list(there), n=1)
                hint = f" (did you mean {near[0]}?)" if near and near[0] not in names else ""
                self.problems.append(
                    f"{_count(lacking, f'{role} case')} without {what}: {_some(lacking)}{hint}. Add the {what} under "
                    "the same name, or choose other cases."
                )
        return list(dict.fromkeys(names))

    def _known(self, name: str, role: str) -> str:
        """The case that a person means: its name, its last part, or its file name."""
        plain = name if name in self.image_of else name[: -len(Path(name).name)] + base_name(name)
        fitting = [each for each in self.order if each == plain or each.rpartition("/")[2] == plain]
        if len(fitting) == 1:
            return fitting[0]
        if fitting:
            self.problems.append(f"The {role} case {name} may be any of {_some(fitting)}. Name it with its folder.")
        return plain


def _volumes_by_name(
    folder: Path, what: str, problems: list[str], without: Iterable[Path | None] = ()
) -> dict[str, Path]:
    """Volumes below a folder by their path without format; folders inside that have another role are left out."""
    if not folder.is_dir():
        problems.append(f"The folder of {what} {folder} does not exist. Check the path.")
        return {}
    apart = [other.resolve() for other in without if other is not None and other.resolve() != folder.resolve()]
    found: dict[str, Path] = {}
    for path in find_volume_paths(folder):
        if any(other in path.resolve().parents for other in apart):
            continue
        place = path.relative_to(folder)
        name = place.with_name(base_name(place)).as_posix() if place.name else folder.name
        if name in found:
            problems.append(f"{found[name]} and {path} have the same name. Rename one, or take it out of the folder.")
        found.setdefault(name, path)
    if not found:
        problems.append(f"{folder} holds no {what} that can be read (NIfTI, NRRD, MetaImage, DICOM). Check the path.")
    return found


def _order(images: Path, image_of: dict[str, Path], notes: list[str]) -> tuple[list[str], bool]:
    """Names in the order of the protocol, and whether a list gave it."""
    for folder in (images, images.resolve().parent):
        file = folder / ORDER_FILE
        if file.is_file():
            listed = list(dict.fromkeys(_names(file)))
            if outside := [name for name in image_of if name not in listed]:
                notes.append(f"{_count(outside, 'image')} left out, since {file} does not name them: {_some(outside)}.")
            return listed, True
    return sorted(image_of), False


def _names(wanted: Sequence[str] | Path) -> list[str]:
    """Names, from a text file where one is given; blank lines and those that begin with # are skipped.

    Raises:
        InputError: The file cannot be read or names nothing.
    """
    if not isinstance(wanted, Path):
        return list(wanted)
    try:
        lines = [line.strip() for line in wanted.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"The list {wanted} cannot be read ({error}). Give a text file with one name per line."
        ) from error
    names = [line for line in lines if line and not line.startswith("#")]
    if not names:
        raise InputError(f"The list {wanted} names no case. Write one name per line.")
    return names


def _more_unlabelled(
    folder: Path | None, images: Path, image_of: dict[str, Path], with_labels: set[str], problems: list[str]
) -> list[TrainingCase]:
    """Cases of the second folder; one that has another role already is a problem."""
    if folder is None:
        return []
    found = _volumes_by_name(folder, "unlabelled images", problems)
    role_of = {path.resolve(): name for name, path in image_of.items()}
    again = [name for name, path in found.items() if role_of.get(path.resolve(), name) in with_labels]
    if again:
        problems.append(
            f"{_count(again, 'case')} labelled or for validation, and unlabelled in {folder}: {_some(again)}. Take the "
            "images out of that folder, or rename them where they are other scans."
        )
    others = {name: path for name, path in found.items() if path.resolve() not in role_of}
    if clash := [name for name in others if name in image_of and name not in again]:
        problems.append(
            f"{_count(clash, 'name')} both in {images} and in {folder}: {_some(clash)}. Leave the images out of one of "
            "them, or rename them where they are other scans."
        )
    return [TrainingCase(name, path) for name, path in others.items()]


def _count(names: Sequence[str], what: str) -> str:
    """`1 case is` or `3 cases are`."""
    return f"1 {what} is" if len(names) == 1 else f"{len(names)} {what}s are"


def _some(names: Sequence[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")
