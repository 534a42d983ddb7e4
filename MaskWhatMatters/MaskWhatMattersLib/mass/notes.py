"""What a person should know of a task or a result, in sentences."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from MaskWhatMattersLib.datasets.cases import looks_like_ct
from MaskWhatMattersLib.mass.example import TaskLabel
from MaskWhatMattersLib.volumes import Volume

_PATHOLOGY = re.compile(
    r"\b(tumou?r|cancer|carcinom|metasta|lesion|nodule|neoplasm|gliom|sarcom|lymphom|melanom|adenom|meningiom|cyst(s|ic)?\b|"
    r"polyp|abscess|h(a)?emorrh|h(a)?ematom|bleed|(o)?edema|infarct|stroke|isch(a)?em|scar|necro|thromb|embol|"
    r"an(e|eu)urysm|plaque|calcifi|fracture|pneumon|consolidat|ground.?glass|effusion|infect|covid|patholog|disease)",
    re.IGNORECASE,
)
_ALTERED = ("SCT", "49755003")
"""Morphologically abnormal structure, the category of findings in Slicer's terminology."""

TUNE_FIRST = "tune the task on 3 to 10 cases first."
"""How the note on findings ends; a task that was tuned does without it."""

_SMALL_VOXELS = 64
_LEAST_QUALITY = 0.5
_LEAST_PROBABILITY = 0.7
_MOST_RATIO = 3.0


def is_pathology(label: TaskLabel) -> bool:
    """Whether name or terminology say that a label is a finding and no organ."""
    if label.category is not None and (label.category.scheme, label.category.value) == _ALTERED:
        return True
    return bool(_PATHOLOGY.search(label.name.replace("_", " ")))


def task_notes(
    labels: Sequence[TaskLabel], cut: Sequence[str], outside: Sequence[str], spacing_mm: float, window: int
) -> list[str]:
    """On labels that in-context segmentation finds hard.

    Args:
        labels: Of the task.
        cut: Names of those that are larger than the window.
        outside: Names of those that lie for the most part outside of what looks like the body.
        spacing_mm: Of the task.
        window: Side of a crop, voxels.
    """
    notes = [
        f"{name} is larger than the {window * spacing_mm:.0f} mm that the network sees at once: the example is cropped "
        "to a part of it."
        for name in cut
    ]
    if outside:
        notes.append(
            f"{', '.join(outside)}: for the most part outside of what looks like the body in an example, where the "
            "network does not look. Check that scan and label map belong together."
        )
    small = [label.name for label in labels if (label.volume_ml or 0) * 1000 < _SMALL_VOXELS * spacing_mm**3]
    if small:
        notes.append(
            f"{', '.join(small)}: smaller than {_SMALL_VOXELS} voxels of {spacing_mm:g} mm in the examples. Expect it "
            "to be missed; a smaller spacing may help."
        )
    ill = [label.name for label in labels if is_pathology(label)]
    if ill:
        notes.append(
            f"{', '.join(ill)}: tumours, lesions and other findings are hardly found by example alone; {TUNE_FIRST}"
        )
    return notes


def known_modality(volume: Volume) -> str | None:
    """What the scan says it is; "CT" where it says nothing and holds Hounsfield units of air."""
    return volume.modality or ("CT" if looks_like_ct(volume) else None)


def scan_notes(modality: str | None, of_examples: str | None) -> list[str]:
    """On a scan as a whole; both as `known_modality`, that of the examples None where they differ."""
    if modality == of_examples or ("CT" not in (modality, of_examples) and None in (modality, of_examples)):
        return []
    scan, examples = modality or "not CT by its values", of_examples or "not CT by their values, or mixed"
    return [f"The scan is {scan}, the examples are {examples}: check the result, or use examples of the same modality."]


def label_notes(label: TaskLabel, volume_ml: float, quality: float, largest_probability: float) -> tuple[str, ...]:
    """Why a person should look at one label of one scan."""
    if volume_ml == 0:
        return (f"{label.name} was not found: it may not be in the scan, or the examples are too different.",)
    notes = []
    if not math.isnan(quality) and quality < _LEAST_QUALITY:
        notes.append(f"The quality of {label.name} is estimated as low ({quality:.2f}).")
    if largest_probability < _LEAST_PROBABILITY:
        notes.append(f"{label.name} may not be in the scan: its largest probability is {largest_probability:.2f}.")
    if label.volume_ml and not 1 / _MOST_RATIO <= volume_ml / label.volume_ml <= _MOST_RATIO:
        notes.append(
            f"{label.name} has an unusual volume: {volume_ml:.1f} mL, and {label.volume_ml:.1f} mL in the examples."
        )
    return tuple(notes)
