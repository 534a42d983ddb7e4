"""Names, colours and terms of segments, as Slicer writes them into the header of .seg.nrrd files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import SimpleITK

from MaskWhatMattersLib.models.card import Code

sitk: Any = SimpleITK  # it declares hardly any types

_KEY = re.compile(r"Segment(\d+)_(\w+)")
_TERMINOLOGY = "TerminologyEntry:"


@dataclass(frozen=True)
class Terms:
    """What a segment is, in the terminology; None where Slicer's entry leaves it open."""

    category: Code | None = None
    type: Code | None = None
    type_modifier: Code | None = None


@dataclass(frozen=True)
class FileSegment:
    """One segment of a file.

    Attributes:
        name: As the user called it.
        value: Its voxels have this value.
        layer: In this channel of the file; segments that overlap lie in different ones.
        color: Red, green, blue, 0 to 1.
        terms: From the terminology.
    """

    name: str
    value: int
    layer: int = 0
    color: tuple[float, float, float] | None = None
    terms: Terms = Terms()


def read_segments(path: Path) -> tuple[FileSegment, ...]:
    """Segments that the header of an NRRD file describes, in its order; none where it does not or cannot be read."""
    if not path.name.lower().endswith((".nrrd", ".nhdr")):
        return ()
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError:  # read_volume says what is wrong with the file
        return ()
    facts: dict[int, dict[str, str]] = {}
    for key in reader.GetMetaDataKeys():
        if (match := _KEY.fullmatch(key)) is not None:
            facts.setdefault(int(match[1]), {})[match[2]] = reader.GetMetaData(key)
    return tuple(_segment(number, facts[number]) for number in sorted(facts))


def without_seg(name: str) -> str:
    """A file's base name without the ".seg" by which Slicer marks segmentations."""
    return name[:-4] if name.lower().endswith(".seg") else name


def terms_of(entry: str) -> Terms:
    """Codes of a terminology entry as Slicer stores it on a segment.

    Args:
        entry: "context~category~type~modifier~anatomic context~region~modifier|", each part scheme^value^meaning.
    """
    parts = entry.removesuffix("|").split("~")
    category, kind, modifier = (_code(part) for part in (*parts[1:4], "", "", "")[:3])
    return Terms(category, kind, modifier)


def _segment(number: int, facts: Mapping[str, str]) -> FileSegment:
    tags = facts.get("Tags", "")
    entry = tags.partition(_TERMINOLOGY)[2].partition("|")[0]
    return FileSegment(
        name=facts.get("Name", "").strip() or facts.get("ID", "").strip() or f"Segment {number + 1}",
        value=_whole(facts.get("LabelValue", ""), number + 1),
        layer=_whole(facts.get("Layer", ""), 0),
        color=_color(facts.get("Color", "")),
        terms=terms_of(entry),
    )


def _whole(text: str, default: int) -> int:
    return int(text) if text.strip().isdecimal() else default


def _color(text: str) -> tuple[float, float, float] | None:
    with suppress(ValueError):
        red, green, blue = (float(part) for part in text.split())
        return red, green, blue
    return None


def _code(text: str) -> Code | None:
    scheme, value, meaning = (*text.split("^"), "", "", "")[:3]
    return Code(scheme=scheme, value=value, meaning=meaning) if scheme and value else None
