"""What the labels of several files are called, and which value each has in the task that is made of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.mass.example import TaskLabel
from MaskWhatMattersLib.mass.seg_nrrd import FileSegment

_SHOWN = 12


@dataclass(frozen=True)
class FileLabels:
    """What one file marks.

    Attributes:
        path: Of the file.
        segments: That have voxels.
        empty: Names of those that have none.
        has_names: Whether the file itself says what they are called.
    """

    path: Path
    segments: tuple[FileSegment, ...]
    empty: tuple[str, ...]
    has_names: bool

    def listed(self) -> str:
        """The segments, for a message."""
        return _some(f"{segment.value} {segment.name}" for segment in self.segments)


class AgreedLabels:
    """Labels of a task: segments with names are the same where these are, those without where their values are.

    Args:
        files: What each file marks.
        typed: Value in the files -> name that the user gave.

    Raises:
        InputError: A file uses a name twice, or a name was given to a value that no file has; all at once.
    """

    def __init__(self, files: Sequence[FileLabels], typed: Mapping[int, str]) -> None:
        self._files = files
        self._typed = typed
        self._labels: dict[str, TaskLabel] = {}
        self._of_file: list[dict[FileSegment, str]] = [{} for _ in files]
        self._notes: list[str] = []
        problems = self._problems()
        if problems:
            raise InputError(" ".join(problems))
        for named in (True, False):  # label maps without names take those of the files that have some
            for index, file in enumerate(files):
                for segment in file.segments if file.has_names is named else ():
                    self._of_file[index][segment] = self._key(file, segment)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know, in sentences."""
        empty = dict.fromkeys(
            name for file in self._files for name in file.empty if name.casefold() not in self._labels
        )
        lines = [f"{name} is left out: it has no voxel in any reference." for name in empty]
        return (*dict.fromkeys(self._notes), *lines)

    def listed(self) -> str:
        """All labels, for a message."""
        return _some(f"{self._labels[key].value} {self._labels[key].name}" for key in self._by_value())

    def chosen(self, asked: Sequence[str]) -> tuple[str, ...]:
        """Keys of the labels that were asked for by value or name, by value; all of them when nothing was.

        Raises:
            InputError: There is no such label, or it is empty.
        """
        by_value = {str(label.value): key for key, label in self._labels.items()}
        typed = [text.strip().casefold() for text in asked]
        found = [key if key in self._labels else by_value.get(key) for key in typed]
        missing = [text for text, key in zip(asked, found, strict=True) if key is None]
        if missing:
            raise InputError(
                f"No reference marks {', '.join(missing)}; found {self.listed()}. Choose by one of these values or "
                "names, and segment what is empty first."
            )
        return tuple(key for key in self._by_value() if not asked or key in found)

    def parts_of(self, index: int, keys: Iterable[str]) -> dict[FileSegment, TaskLabel]:
        """Segments of a file that are among the labels, in the order of the keys."""
        segment_of = {key: segment for segment, key in self._of_file[index].items()}
        return {segment_of[key]: self._labels[key] for key in keys if key in segment_of}

    def _key(self, file: FileLabels, segment: FileSegment) -> str:
        taken = {label.value: key for key, label in self._labels.items()}
        if segment.value not in self._typed and not file.has_names and segment.value in taken:
            key = taken[segment.value]
            if self._labels[key].name != segment.name:
                self._notes.append(f"{file.path.name} has no names: its {segment.value} is taken for {key}.")
            return key
        name = self._typed.get(segment.value, segment.name)
        key = name.casefold()
        if key not in self._labels:
            value = segment.value if segment.value not in taken else next(n for n in count(1) if n not in taken)
            if value != segment.value:
                self._notes.append(f"{name} becomes {value}: {segment.value} is {taken[segment.value]} already.")
            terms = segment.terms
            self._labels[key] = TaskLabel(
                value=value,
                name=name,
                color=segment.color,
                category=terms.category,
                type=terms.type,
                type_modifier=terms.type_modifier,
            )
        return key

    def _problems(self) -> list[str]:
        problems = []
        for file in self._files:
            names = Counter(self._typed.get(s.value, s.name).casefold() for s in file.segments)
            twice = [name for name, times in names.items() if times > 1]
            if twice:
                problems.append(f"{file.path} uses a name twice: {', '.join(twice)}. Rename its segments.")
        values = {segment.value for file in self._files for segment in file.segments}
        lost = [f"{value}={name}" for value, name in self._typed.items() if value not in values]
        if lost:
            found = ", ".join(map(str, sorted(values)[:_SHOWN]))
            problems.append(f"A name was given to a value that no reference has: {', '.join(lost)}; found {found}.")
        return problems

    def _by_value(self) -> list[str]:
        return sorted(self._labels, key=lambda key: self._labels[key].value)


def _some(texts: Iterable[str]) -> str:
    every = list(texts)
    return ", ".join(every[:_SHOWN]) + (f" and {len(every) - _SHOWN} more" if len(every) > _SHOWN else "")
