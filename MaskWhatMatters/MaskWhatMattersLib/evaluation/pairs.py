"""Which prediction belongs to which truth: label maps of the same base name in two folders."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.volumes import base_name, find_volume_paths

_SHOWN = 3


@dataclass(frozen=True)
class Pairing:
    """What two folders hold.

    Attributes:
        pairs: Name of the case -> (prediction, truth), sorted by name.
        without_prediction: Truths that nothing was predicted for.
        without_truth: Predictions that cannot be scored.
    """

    pairs: dict[str, tuple[Path, Path]]
    without_prediction: tuple[Path, ...]
    without_truth: tuple[Path, ...]


def pair_by_name(predictions: Path, truths: Path) -> Pairing:
    """Pair the volumes below two folders by `base_name`, whatever their formats and subfolders.

    Raises:
        InputError: A folder that is none or holds no volume, the same folder twice, two files of one name in a folder,
            or no pair; all such problems at once where possible.
    """
    if predictions.resolve() == truths.resolve():
        raise InputError(
            f"{predictions} was given for the predictions and for the truth, so everything would agree. "
            "Give two different folders."
        )
    problems: list[str] = []
    predicted, true = (_by_name(folder, problems) for folder in (predictions, truths))
    if problems:
        raise InputError(" ".join(problems))
    common = sorted(predicted.keys() & true.keys())
    if not common:
        raise InputError(
            f"No file in {predictions} has the name of one in {truths}; found {_examples(predicted)} and "
            f"{_examples(true)}. Give a prediction and its truth the same name (the format may differ)."
        )
    return Pairing(
        {name: (predicted[name], true[name]) for name in common},
        tuple(path for name, path in true.items() if name not in predicted),
        tuple(path for name, path in predicted.items() if name not in true),
    )


def _by_name(folder: Path, problems: list[str]) -> dict[str, Path]:
    """Base name -> path; what is wrong goes to `problems`."""
    try:
        paths = find_volume_paths(folder)
    except InputError as error:
        problems.append(str(error))
        return {}
    found: dict[str, Path] = {}
    for path in paths:
        other = found.setdefault(base_name(path), path)
        if other is not path:
            problems.append(f"{other} and {path} have the same name. Keep one of them in {folder}.")
    if not found:
        problems.append(f"{folder} holds no label map that can be read (NIfTI, NRRD, MetaImage, PNG).")
    return found


def _examples(paths: dict[str, Path]) -> str:
    names = [path.name for path in paths.values()]
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
