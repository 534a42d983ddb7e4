"""What tests of the module MassInContext put into scenes: results that no network made."""

from __future__ import annotations

import numpy as np

from MaskWhatMattersLib.mass.example import TaskLabel
from MaskWhatMattersLib.mass.result import InContextSegmentation, LabelResult
from MaskWhatMattersLib.models.card import Code

SNOMED_LIVER = Code(scheme="SCT", value="10200004", meaning="Liver")
ANATOMY = Code(scheme="SCT", value="123037004", meaning="Anatomical Structure")
LIVER = TaskLabel(value=1, name="Liver", color=(0.8, 0.2, 0.1), category=ANATOMY, type=SNOMED_LIVER)
SPLEEN = TaskLabel(value=2, name="Spleen", color=(0.2, 0.4, 0.9))


def found_in(volume, labels=(LIVER, SPLEEN), quality=(0.9, 0.4), notes=((), ("Spleen looks odd | twice.",)), every=3):
    """Voxel n has label 1 where n is 0, and label 2 where n is 1, modulo `every`."""
    numbers = np.arange(volume.array.size).reshape(volume.array.shape) % every
    values = np.zeros(volume.array.shape, np.uint8)
    for place, label in enumerate(labels):
        values[numbers == place] = label.value
    return InContextSegmentation(
        label_map=volume.with_array(values),
        probabilities=None,
        labels=tuple(
            LabelResult(label, float((values == label.value).sum()) * volume.voxel_volume_ml, quality[n], 0.9, notes[n])
            for n, label in enumerate(labels)
        ),
        quality_method="reverse",
        notes=(),
        windows=8,
        windows_looked_at=3,
        seconds=1.5,
        model="mass-test 0.0.0",
        research_only=False,
    )
