"""Cases and settings that tune a task within a second or two; nothing sensible is learned."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from MaskWhatMattersLib.mass.example import Example
from MaskWhatMattersLib.mass.examples import example_from_label_map
from mass_phantoms import NAMES, organ_subject, write_subjects
from tiny_mass import tiny_mass

SHAPE, SPACING = (16, 16, 16), (8.0, 8.0, 8.0)
TINY: dict[str, Any] = {
    "steps": 4,
    "baseline_width": 2,
    "batch_size": 1,
    "log_every": 1,
    "validations": 2,
    "save_every": 1,
}


def tuning_model(folder: Path) -> Path:
    """A model of random weights that sees a whole subject at once."""
    return tiny_mass(folder, window=16, width=2, spacing_mm=8.0)


def organ_examples(count: int, first: int = 0) -> tuple[Example, ...]:
    """Made-up bodies with their five organs."""
    subjects = [organ_subject(seed, SHAPE, SPACING) for seed in range(first, first + count)]
    return tuple(example_from_label_map(image, label_map, NAMES) for image, label_map in subjects)


def write_cases(folder: Path, count: int) -> Path:
    """Such bodies as images/subjectN.nii.gz and labels/subjectN.nii.gz; their spacing is 4 mm."""
    return write_subjects(folder, count, SHAPE)
