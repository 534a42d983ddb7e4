"""Measuring the builtin network, and the calibration that rests on it."""

import numpy as np
import pytest
import torch

from MaskWhatMattersLib.progress import SilentProgress
from MaskWhatMattersLib.relevance.builtin.evaluate import Record, _runs, dice, evaluate
from MaskWhatMattersLib.relevance.builtin.export import calibrate, export
from MaskWhatMattersLib.relevance.builtin.localizer import BuiltinLocalizer
from MaskWhatMattersLib.relevance.builtin.train import BuiltinTrainingConfig, train
from phantoms import write_data_folder


def test_dice_counts_only_where_the_truth_is_known():
    predicted, truth = np.array([1, 1, 0, 1], bool), np.array([1, 0, 0, 0], bool)
    assert dice(predicted, truth, np.ones(4, bool)) == pytest.approx(2 / 4)
    assert dice(predicted, truth, np.array([1, 1, 1, 0], bool)) == pytest.approx(2 / 3)
    assert dice(~predicted, truth, np.zeros(4, bool)) == 1.0


def test_slabs_beyond_a_structure_keep_a_distance_from_it():
    empty = torch.ones(30, dtype=torch.bool)
    empty[10:14] = False
    assert _runs(empty, margin=2) == [slice(0, 8), slice(16, 30)]
    assert _runs(empty, margin=4) == [slice(0, 6), slice(18, 30)]


def records(present: list[float], absent: list[float], dice_value: float = 0.9) -> list[Record]:
    found = [Record("left_atrium", "c", "liver", "MR", "present", e, dice_value, dice_value + 0.05) for e in present]
    return found + [Record("left_atrium", "c", "liver", "MR", "absent: elsewhere", e) for e in absent]


def test_the_threshold_lies_between_present_and_absent():
    card = calibrate(records([0.8, 0.9], [0.1, 0.3]))
    assert 0.3 < card.presence_threshold["liver"] < 0.8
    assert card.trained == {"liver": ("MR",)}
    assert card.single == ("liver",)


def test_a_concept_that_is_not_found_well_is_not_offered():
    assert calibrate(records([0.9], [0.1], dice_value=0.2)).trained == {}


def test_a_run_becomes_a_model_that_answers(tmp_path):
    data = write_data_folder(tmp_path / "data")
    config = BuiltinTrainingConfig(
        permissive_only=False, widths=(8, 8), batch=2, steps=2, save_every=1, validate_every=1, warmup=1
    )
    train(config, data, tmp_path / "run", SilentProgress(), device="cpu")
    (tmp_path / "out").mkdir()
    card = export(tmp_path / "run", data, "tiny", "1", tmp_path / "out")
    assert card.research_only
    assert {item.name for item in card.training_data} == {
        "left_atrium",
        "hippocampus_mr",
        "chest_xray_kermany_lungmask",
        "brain_tumor_2d_figshare",
    }
    localizer = BuiltinLocalizer(model=str(tmp_path / "out" / "tiny.safetensors"), device="cpu")
    kinds = {record.kind for record in evaluate(localizer, data, "val", permissive_only=False)}
    assert kinds == {"present", "absent: elsewhere"}


def test_a_concept_learned_from_pictures_is_not_offered_on_volumes_it_never_saw():
    pictures = [Record("brain_tumor_2d_figshare", "c", "brain tumor", "MR", "present", 0.9, 0.8, 0.8)]
    volumes = ("hippocampus_mr", "brain_mr_3d", "acdc_cardiac_mr")
    absent = [Record(name, "c", "brain tumor", "MR", "absent: elsewhere", 0.1) for name in volumes]
    assert calibrate(pictures + absent[:2]).pictures_only == ("brain tumor",)
    assert calibrate(pictures + absent).pictures_only == ()
