"""How folders of images are laid out: what is an image, what its label map, and what the folders' names say."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from MaskWhatMattersLib.datasets.image_cases import Split
from MaskWhatMattersLib.datasets.splits import split_in
from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.volumes import base_name, find_volume_paths
from MaskWhatMattersLib.volumes.paths import suffix_of

_IMAGES = re.compile(r"(?:images?|imgs?|scans?|volumes?)(tr|ts)?", re.IGNORECASE)
_LABELS = re.compile(r"(?:labels?|masks?|segmentations?|gt|ground_?truth)(tr|ts|_[a-z0-9]+)?", re.IGNORECASE)
_LABEL_ENDING = re.compile(r"[-_](?:seg|segmentation|mask|label|labels|gt)$", re.IGNORECASE)
_CHANNEL_ENDING = re.compile(r"_0000$")
_BESIDE_IMAGES = (".txt", ".md", ".csv", ".json", ".list", ".yaml", ".yml", ".toml", ".xml", ".pdf", ".html", ".rst")


@dataclass(frozen=True)
class FolderImage:
    """One image of a folder.

    Attributes:
        name: Path without format, without a folder "images", and without that of a split unless two names were equal.
        image: File, or DICOM folder.
        folder: The outermost folder that it lies in, those of images and splits apart; None at the top.
        label_map: The label map that belongs to it by name; None where there is none.
        split: As a folder's name says.
    """

    name: str
    image: Path
    folder: str | None = None
    label_map: Path | None = None
    split: Split | None = None


def folder_images(data: Path, labels: Path | None, problems: list[str], notes: list[str]) -> list[FolderImage]:
    """Images below a folder with their label maps.

    Label maps lie in `labels`, in a folder "labels" or "masks" beside a folder "images" (also with Tr and Ts), or
    beside their image as NAME_seg, NAME_mask or NAME_label.

    Args:
        data: Folder, searched recursively.
        labels: Folder of label maps named like their images.
        problems: Gets what must be put right.
        notes: Gets what the person should know.

    Raises:
        InputError: Not a folder, or one that may not be read.
    """
    paths = find_volume_paths(data)
    apart = set(find_volume_paths(labels)) if labels is not None else set()
    if labels is not None and not apart:
        problems.append(f"{labels} holds no label maps that can be read. Check the path.")
    images: dict[str, tuple[Path, Split | None]] = {}
    label_maps: dict[str, Path] = {}
    for path in (*paths, *sorted(apart - set(paths))):
        is_apart = path in apart
        place = path.relative_to(labels if is_apart and labels is not None else data)
        key, split, is_label = _key(place, data)
        kept: dict[str, Path] = (
            label_maps if is_label or is_apart else {name: each for name, (each, _) in images.items()}
        )
        if key in kept:
            problems.append(f"{kept[key]} and {path} have the same name. Rename one, or take it out of the folder.")
        elif is_label or is_apart:
            label_maps[key] = path
        else:
            images[key] = (path, split)
    _take_out_side_by_side(images, label_maps)
    pairs = _paired(images, label_maps, problems)
    if skipped := _no_images(data, paths):
        notes.append(
            f"{len(skipped)} {'file is' if len(skipped) == 1 else 'files are'} no image and left out: "
            f"{', '.join(skipped[:3])}{', ...' if len(skipped) > 3 else ''}."
        )
    often = Counter(_without_split(key) for key in images)
    result = []
    for key, (path, split) in images.items():
        plain = _without_split(key)
        folders = PurePosixPath(plain).parts[:-1]
        result.append(
            FolderImage(
                name=plain if often[plain] == 1 else key,
                image=path,
                folder=folders[0] if folders else None,
                label_map=pairs.get(key),
                split=split,
            )
        )
    return result


def _key(place: Path, data: Path) -> tuple[str, Split | None, bool]:
    """What image and label map have in common, the split, and whether it is a label map."""
    split: Split | None = None
    is_label = False
    folders: list[str] = []
    for depth, part in enumerate(place.parts[:-1]):
        ending = _LABELS.fullmatch(part)
        if ending and _has_images(data.joinpath(*place.parts[:depth])):
            is_label = True
            split = split or ("test" if (ending[1] or "").lower() == "ts" else None)
        elif images := _IMAGES.fullmatch(part):
            split = split or ("test" if (images[1] or "").lower() == "ts" else None)
        else:
            split = split or split_in(part)
            folders.append(part)
    stem = base_name(place)
    if not is_label:
        stem = _CHANNEL_ENDING.sub("", stem)
    return "/".join((*folders, stem)), split, is_label


def _has_images(folder: Path) -> bool:
    """Whether a folder has a folder of images in it, so that one of labels beside it holds label maps."""
    return any(_IMAGES.fullmatch(each.name) and each.is_dir() for each in folder.iterdir())


def _without_split(key: str) -> str:
    parts = key.split("/")
    return "/".join((*(part for part in parts[:-1] if split_in(part) is None), parts[-1]))


def _take_out_side_by_side(images: dict[str, tuple[Path, Split | None]], label_maps: dict[str, Path]) -> None:
    """Move NAME_seg and the like to the label maps where NAME is an image."""
    for key in list(images):
        plain = _LABEL_ENDING.sub("", key)
        if plain != key and plain in images and plain not in label_maps:
            label_maps[plain] = images.pop(key)[0]


def _paired(images: Iterable[str], label_maps: dict[str, Path], problems: list[str]) -> dict[str, Path]:
    """Label maps by the key of their image: of the same name, the last part of it, or with an ending taken off."""
    keys = set(images)
    by_last: dict[str, list[str]] = {}
    for key in keys:
        by_last.setdefault(key.rpartition("/")[2], []).append(key)
    found: dict[str, Path] = {}
    orphans: list[Path] = []
    for key, path in label_maps.items():
        for name in (key, _LABEL_ENDING.sub("", key)):
            alone = by_last.get(name.rpartition("/")[2], [])
            fitting = name if name in keys else alone[0] if len(alone) == 1 else None
            if fitting is not None:
                found.setdefault(fitting, path)
                break
        else:
            orphans.append(path)
    if orphans:
        problems.append(
            f"{len(orphans)} label {'map has' if len(orphans) == 1 else 'maps have'} no image of the same name: "
            f"{', '.join(str(path) for path in orphans[:3])}{', ...' if len(orphans) > 3 else ''}. Name image and "
            "label map alike, or take the label map out of the folder."
        )
    return found


def _no_images(data: Path, paths: list[Path]) -> list[str]:
    """Files that are neither images nor what usually lies beside them."""
    known = set(paths)
    skipped = []
    for parent, names, files in os.walk(data):
        names[:] = [name for name in names if not name.startswith(".")]
        if Path(parent) in known:
            continue
        for name in files:
            path = Path(parent) / name
            if path not in known and not name.startswith(".") and path.suffix.lower() not in _BESIDE_IMAGES:
                skipped.append(path.relative_to(data).as_posix())
    return sorted(skipped)


def is_picture(path: Path) -> bool:
    """Whether a file is a picture by its name."""
    return suffix_of(path) in (".png", ".jpg", ".jpeg")


def require_there(data: Path) -> None:
    """The path leads somewhere.

    Raises:
        InputError: It does not.
    """
    if not data.exists():
        raise InputError(f"{data} does not exist. Give a folder of images, or a table with a column path (CSV).")
