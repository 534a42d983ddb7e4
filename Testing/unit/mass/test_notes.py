"""What a person is told, and when."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from MaskWhatMattersLib.mass.example import TaskLabel
from MaskWhatMattersLib.mass.notes import is_pathology, known_modality, label_notes, scan_notes, task_notes
from MaskWhatMattersLib.models import Code
from MaskWhatMattersLib.volumes import Volume

LIVER = TaskLabel(value=1, name="liver", volume_ml=1500.0)


@pytest.mark.parametrize(
    "name", ["Tumor", "kidney_tumour", "lesions", "brain metastasis", "Oedema", "hemorrhage", "cyst"]
)
def test_findings_are_known_by_name(name: str) -> None:
    assert is_pathology(TaskLabel(value=1, name=name))


@pytest.mark.parametrize("name", ["liver", "cystic duct vessel of the spleen"[12:], "scapula", "aorta", "left lung"])
def test_organs_are_no_findings(name: str) -> None:
    assert not is_pathology(TaskLabel(value=1, name=name))


def test_findings_are_known_by_terminology() -> None:
    altered = Code(scheme="SCT", value="49755003", meaning="Morphologically Altered Structure")
    assert is_pathology(TaskLabel(value=1, name="region", category=altered))


def test_a_task_tells_what_is_hard() -> None:
    labels = [LIVER, TaskLabel(value=2, name="tumor", volume_ml=0.05)]
    notes = task_notes(labels, ["liver"], ["tumor"], spacing_mm=1.5, window=64)
    assert "liver is larger than the 96 mm" in notes[0]
    assert "tumor: for the most part outside" in notes[1]
    assert "tumor: smaller than 64 voxels of 1.5 mm" in notes[2]
    assert "tune the task on 3 to 10 cases" in notes[3]
    assert task_notes([LIVER], [], [], 1.5, 64) == []


def test_another_modality_is_told_where_both_are_known() -> None:
    assert "The scan is MR, the examples are CT" in scan_notes("MR", "CT")[0]
    assert "The scan is not CT by its values, the examples are CT" in scan_notes(None, "CT")[0]
    assert "the examples are not CT by their values, or mixed" in scan_notes("CT", None)[0]
    for pair in (("CT", "CT"), (None, None), ("MR", None), (None, "MR")):
        assert scan_notes(*pair) == []


def test_ct_is_known_by_its_air() -> None:
    volume = Volume(np.full((1, 2, 2, 2), -1000, np.int16), np.eye(4))
    assert known_modality(volume) == "CT"
    assert known_modality(replace(volume, modality="MR")) == "MR"
    assert known_modality(volume.with_array(volume.array + 1000)) is None


@pytest.mark.parametrize(
    ("volume_ml", "quality", "probability", "said"),
    [
        (0.0, 0.0, 0.2, "was not found"),
        (1400.0, 0.3, 0.99, "quality of liver is estimated as low"),
        (1400.0, 0.9, 0.55, "may not be in the scan"),
        (200.0, 0.9, 0.99, "unusual volume: 200.0 mL, and 1500.0 mL"),
    ],
)
def test_one_reason_is_one_sentence(volume_ml: float, quality: float, probability: float, said: str) -> None:
    (note,) = label_notes(LIVER, volume_ml, quality, probability)
    assert said in note


def test_a_usual_result_needs_no_note() -> None:
    assert label_notes(LIVER, 1400.0, 0.9, 0.99) == ()
    assert label_notes(LIVER, 1400.0, math.nan, 0.99) == ()
