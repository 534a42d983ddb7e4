"""From a training to a bundled model."""

from __future__ import annotations

from pathlib import Path

import pytest

from MaskWhatMattersLib.corn.config import CornTrainingConfig
from MaskWhatMattersLib.corn.predict import AtriumSegmenter
from MaskWhatMattersLib.corn.release import release
from MaskWhatMattersLib.corn.train import train
from MaskWhatMattersLib.datasets.manifest import read_manifest
from MaskWhatMattersLib.datasets.training_cases import CornCases, TrainingCase
from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.volumes import read_volume
from phantoms import write_data_folder

TINY = CornTrainingConfig(
    mode="supervised",
    network={"width": 4, "depth": 2, "dropout": 0.0},
    preprocessing={"spacing_mm": 3.0},
    patch_size=(8, 16, 16),
    steps=80,
    learning_rate=0.05,
    validate_every=0,
)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return write_data_folder(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def run(data, tmp_path_factory) -> Path:
    rows = [row for row in read_manifest(data) if row.dataset == "left_atrium" and row.split == "train"]
    cases = tuple(TrainingCase(row.image.name, row.image, row.label_map) for row in rows)
    folder = tmp_path_factory.mktemp("run")
    train(TINY, CornCases(cases), folder, device="cpu")
    return folder


def test_the_model_loads_and_its_card_says_what_was_measured(run, data, tmp_path):
    card = release(run, data, "left-atrium", "9.9", tmp_path, labelled=3)
    segmenter = AtriumSegmenter.load(tmp_path / "left-atrium.safetensors", "cpu")
    assert segmenter.name == "left-atrium 9.9"
    assert card.research_only
    dice = next(metric for metric in card.metrics if metric.name.startswith("dice"))
    assert 0.7 < dice.value <= 1
    assert "val, mean over 1 cropped scans" in dice.protocol


def test_results_like_those_on_val_need_no_review_for_doubt(run, data, tmp_path):
    release(run, data, "left-atrium", "9.9", tmp_path, labelled=3)
    segmenter = AtriumSegmenter.load(tmp_path / "left-atrium.safetensors", "cpu")
    review = segmenter.preprocessing.review
    assert review is not None
    scan = next(row for row in read_manifest(data) if row.dataset == "left_atrium" and row.split == "val")
    answer = segmenter.segment(read_volume(scan.image), field_of_view="crop")
    assert 0.5 < review.min_agreement < min(answer.agreement, 0.95)
    assert answer.boundary_entropy < review.max_boundary_entropy < 1


def test_data_without_val_scans_are_refused(run, tmp_path):
    data = write_data_folder(tmp_path / "data", splits=("train",))
    with pytest.raises(InputError, match="no val scans of left_atrium"):
        release(run, data, "left-atrium", "9.9", tmp_path, labelled=1)
