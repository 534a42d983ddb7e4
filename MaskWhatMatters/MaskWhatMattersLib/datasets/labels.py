"""What is known about images: classes and boxes in words, label maps and masks, COCO annotations."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from MaskWhatMattersLib.datasets.cases import loaded
from MaskWhatMattersLib.datasets.image_cases import ImageCase
from MaskWhatMattersLib.datasets.image_grid import as_labels
from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.volumes import Volume, require_same_grid, require_scalar
from MaskWhatMattersLib.volumes.pictures import frontal_film_affine

UNKNOWN = 255
"""Voxels of a label map that nobody has decided about; alone beside 0 it is how drawing programs write "inside"."""
_NO_CLASS = ("", "image")
_BOXES = re.compile(r"boxes\s*\([^)]*\)\s*=\s*(\[\[.*?\]\])")
_CONTOURED = re.compile(r"contoured here:([^;]*)")
_NAME_OF_VALUE = re.compile(r"(?<![\w.])(\d+)\s*=\s*([^;(]*[^;(\s])(?:\s*\([^;]*?)?(?=;|,\s*\d+\s*=|$)")

Boxes = tuple[tuple[float, float, float, float], ...]


def class_in(text: str) -> str | None:
    """The class that a label column names before the first semicolon; None where it names none."""
    name = text.split(";")[0].strip()
    return None if name in _NO_CLASS or "=" in name else name


def boxes_in(text: str) -> Boxes:
    """Boxes (x centre, y centre, width, height) as fractions of the picture, from "...boxes(xc,yc,w,h)=[[...]]".

    Raises:
        InputError: Not four fractions each.
    """
    found = _BOXES.search(text)
    if found is None:
        return ()
    try:
        boxes = tuple((float(x), float(y), float(w), float(h)) for x, y, w, h in json.loads(found[1]))
    except (ValueError, TypeError) as error:
        raise InputError(f"Boxes must be four numbers each, [[xc, yc, w, h], ...]; found {found[1]}.") from error
    if any(not 0 <= value <= 1 for box in boxes for value in box):
        raise InputError(f"Boxes must be fractions of the picture, from 0 to 1; found {found[1]}.")
    return boxes


def label_names_in(text: str) -> dict[int, str]:
    """Names of the values of a label map, from "1=liver; 2=right kidney"; 0 and what is to be ignored are left out."""
    names = {int(value): name.strip() for value, name in _NAME_OF_VALUE.findall(text)}
    if set(names) - {0} == {UNKNOWN} and names[UNKNOWN] != "ignore":
        return {1: names[UNKNOWN]}
    return {value: name for value, name in names.items() if value not in (0, UNKNOWN)}


def contoured_in(text: str) -> tuple[str, ...]:
    """Structures that were looked for, from "...; contoured here: Brainstem,SpinalCord"; none where it is not said."""
    found = _CONTOURED.search(text)
    return tuple(name.strip() for name in found[1].split(",") if name.strip()) if found else ()


def notes_on_contours(structures: Sequence[tuple[str, ...]]) -> list[str]:
    """What to know where not every structure was looked for in every case.

    Args:
        structures: Of each case those that somebody looked for; none where that is not known.
    """
    known = [case for case in structures if case]
    often = Counter(name for case in known for name in case)
    rare = [f"{name} in {count}" for name, count in often.items() if count < len(known)]
    if not rare:
        return []
    return [
        f"Not every structure was contoured in each of the {len(known)} cases: {', '.join(rare)}. In the others "
        "it is learned and judged as background, although it may be there."
    ]


def read_label_map(case: ImageCase, image: Volume) -> Volume | None:
    """The label map of a case on the grid of its image, uint8 [1, D, H, W]; None where there is none.

    A mask that holds 0 and 255 only becomes 0 and 1. Where other values are there too, 255 stays: nobody has decided
    about those voxels.

    Raises:
        InputError: Unreadable, several channels, or values that are no labels.
        GeometryError: Another grid than the image's.
    """
    if case.label_map is None:
        return None
    labels = as_labels(require_same_grid(require_scalar(loaded(case.label_map)), image, case.name))
    highest = labels.max()
    if highest == UNKNOWN and not ((labels > 0) & (labels < UNKNOWN)).any():
        labels = (labels > 0).astype(np.uint8)
    return image.with_array(labels)  # the very grid, not one that differs by what a header rounds


def read_region(case: ImageCase, image: Volume) -> Volume | None:
    """Where the label map of a case marks anything, 0 and 1 on the grid of its image; None where there is none.

    Any whole numbers may mark, as instances or the thousands of FreeSurfer; what is below 0 marks nothing. In a map of
    bytes, `UNKNOWN` beside other labels marks nothing either.

    Returns:
        uint8 [1, D, H, W].

    Raises:
        InputError: Unreadable, several channels, or fractions.
        GeometryError: Another grid than the image's.
    """
    if case.label_map is None:
        return None
    array = require_same_grid(require_scalar(loaded(case.label_map)), image, case.name).array
    if array.dtype.kind == "f" and not np.array_equal(array, np.rint(array)):
        raise InputError(
            f"The label map of {case.name} must hold whole numbers; found values from {float(array.min()):g} to "
            f"{float(array.max()):g} of the type {array.dtype}. Save it as a label map, 0 outside of the region."
        )
    marked = array > 0
    if array.max() == UNKNOWN and (marked & (array < UNKNOWN)).any():
        marked &= array < UNKNOWN
    return image.with_array(marked.astype(np.uint8))


def box_label_map(picture: Path, boxes: Boxes) -> Volume:
    """Boxes on the grid of a picture, filled with 1..n; the smaller one on top where they meet.

    Raises:
        InputError: The picture cannot be read.
    """
    width, height = picture_size(picture)
    array = np.zeros((1, 1, height, width), np.uint8)
    for index in sorted(range(len(boxes)), key=lambda index: -boxes[index][2] * boxes[index][3]):
        x, y, w, h = boxes[index]
        array[0, 0, _pixels(y, h, height), _pixels(x, w, width)] = index + 1
    return Volume(array, frontal_film_affine(), name=picture.stem, has_physical_scale=False)


def _pixels(centre: float, size: float, length: int) -> slice:
    """One side of a box in pixels, at least one of them; fractions of `length`."""
    first = min(length - 1, max(0, math.floor((centre - size / 2) * length + 0.5)))
    return slice(first, max(first + 1, math.floor((centre + size / 2) * length + 0.5)))


def picture_size(picture: Path) -> tuple[int, int]:
    """Width and height of a picture as it is read, its rotation mark obeyed, without decoding it.

    Raises:
        InputError: Not a picture.
    """
    from PIL import Image

    try:
        with Image.open(picture) as opened:
            width, height = opened.size
            turned = opened.getexif().get(274, 1) in (5, 6, 7, 8)
    except Exception as error:  # Pillow's decoders raise many kinds for a damaged file
        raise InputError(f"{picture} cannot be read as a picture ({type(error).__name__}). Export it again.") from error
    return (height, width) if turned else (width, height)


def read_coco(file: Path) -> tuple[dict[str, Volume], tuple[str, ...]]:
    """Instance label maps of a COCO annotation file, and its categories.

    Returns:
        By file name of the picture: instances 1..n, the smaller one on top where they meet; and the names of the
        categories, sorted.

    Raises:
        InputError: Not a COCO file, or more than 254 instances in a picture.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        pictures = {entry["id"]: entry for entry in content["images"]}
        of_picture: dict[Any, list[Mapping[str, Any]]] = {identifier: [] for identifier in pictures}
        for annotation in content["annotations"]:
            of_picture[annotation["image_id"]].append(annotation)
        maps = {
            str(entry["file_name"]): _drawn(of_picture[identifier], entry, file)
            for identifier, entry in pictures.items()
        }
        names = tuple(sorted(str(entry["name"]) for entry in content.get("categories", [])))
    except (OSError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{file} cannot be read as COCO annotations ({type(error).__name__}: {error}). It needs images (id, "
            "file_name, width, height) and annotations (image_id, and segmentation or bbox)."
        ) from error
    return maps, names


def _drawn(annotations: list[Mapping[str, Any]], picture: Mapping[str, Any], file: Path) -> Volume:
    height, width = int(picture["height"]), int(picture["width"])
    if len(annotations) >= UNKNOWN:
        raise InputError(
            f"{picture['file_name']} has {len(annotations)} instances in {file}; at most {UNKNOWN - 1} can be learned. "
            "Leave the picture out."
        )
    masks = [_mask(annotation, height, width) for annotation in annotations]
    array = np.zeros((height, width), np.uint8)
    for value in sorted(range(len(masks)), key=lambda index: -int(masks[index].sum())):
        array[masks[value]] = value + 1
    name = Path(str(picture["file_name"])).stem
    return Volume(array[None, None], frontal_film_affine(), name=name, has_physical_scale=False)


def _mask(annotation: Mapping[str, Any], height: int, width: int) -> NDArray[np.bool_]:
    """One instance: a run-length code, polygons, or its box."""
    outline = annotation.get("segmentation")
    if not outline:
        x, y, w, h = (float(value) for value in annotation["bbox"])
        outline = [[x, y, x + w, y, x + w, y + h, x, y + h]]
    try:
        from pycocotools import mask as coco
    except ImportError as error:
        raise InputError(
            "Reading COCO annotations needs the package pycocotools, which is not installed. Install it: pip install "
            "pycocotools."
        ) from error
    if isinstance(outline, Mapping):
        code = coco.frPyObjects(outline, height, width) if isinstance(outline["counts"], list) else outline
    else:
        code = coco.merge(coco.frPyObjects(outline, height, width))
    return np.asarray(coco.decode(code)).astype(bool)
