"""The step of the demonstration that segments by example."""

from __future__ import annotations

import csv

import pytest

from bright_mass import bright_mass
from MaskWhatMattersLib.demo_by_example import DATASET, by_example
from MaskWhatMattersLib.volumes import write_volume
from mass_phantoms import organ_subject

COLUMNS = ("path", "dataset", "split", "modality", "label", "label_path")


@pytest.fixture
def data(tmp_path):
    """A folder of labelled scans with a manifest: one of the training set and one of the test set."""
    rows = []
    for seed, split in enumerate(("train", "test")):
        for part, volume in zip(("images", "labels"), organ_subject(seed), strict=True):
            (tmp_path / DATASET / part).mkdir(parents=True, exist_ok=True)
            write_volume(volume, tmp_path / DATASET / part / f"{seed}.nii.gz")
        places = [f"{DATASET}/{part}/{seed}.nii.gz" for part in ("images", "labels")]
        rows += [(places[0], DATASET, split, "MR", "image", places[1]), (places[1], DATASET, split, "label", "", "")]
    with (tmp_path / "MANIFEST.csv").open("w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows])
    return tmp_path


def test_each_structure_is_compared_with_its_manual_label(data, tmp_path):
    text = by_example(data, str(bright_mass(tmp_path, spacing_mm=4.0)))
    assert "mass-bright 0.0.1" in text.splitlines()[0]
    assert all(f"{name}: " in text for name in ("liver", "right kidney", "left kidney", "spleen"))
    assert text.count("Dice against the manual label") == 5


def test_a_model_that_is_not_there_is_said(data):
    assert by_example(data, "mass-gone").startswith("Nothing was segmented by example: There is no model")


def test_without_the_scans_nothing_is_said(tmp_path):
    (tmp_path / "MANIFEST.csv").write_text(",".join(COLUMNS) + "\n")
    assert by_example(tmp_path) == ""
