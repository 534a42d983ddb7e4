"""The model file of a finetuning: which weights it holds, and what its card says."""

import pytest
import torch

from class_pictures import TINY, class_cases
from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.finetuning.classification import Classifier
from MaskWhatMattersLib.finetuning.config import FinetuneConfig
from MaskWhatMattersLib.finetuning.train import train
from MaskWhatMattersLib.finetuning.trained_model import begin_run, export_model
from MaskWhatMattersLib.finetuning.transfer import read_encoder
from MaskWhatMattersLib.models import ModelCard, TrainingData, load_into, read_model
from MaskWhatMattersLib.training.checkpoints import CHECKPOINT

CONFIG = FinetuneConfig.model_validate({"task": "classification", **TINY})
CASES = class_cases(("train", "train", "val", "test"))
START = ModelCard(
    name="start",
    version="2",
    architecture="encoder",
    licence="by-nc",
    research_only=True,
    training_data=(TrainingData(name="Theirs", licence="by-nc", research_only=True),),
)


def trained(folder, cases=CASES, start=None):
    begin_run(folder, CONFIG, cases, start)
    train(CONFIG, cases, folder, device="cpu")
    return export_model(folder, ("a note",))


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("run"))


def test_it_holds_the_best_weights(result):
    weights, card = read_model(result.path)
    best = torch.load(result.path.with_name(CHECKPOINT), weights_only=True)["best"]
    assert best["step"] in (3, 6)
    assert f"best on validation after step {best['step']}" in card.description
    assert all(torch.equal(weights[name], value.half()) for name, value in best["weights"].items())


def test_its_card_says_what_it_was_made_of_and_how_it_was_measured(result):
    _, card = read_model(result.path, architecture="classifier")
    assert [label.name for label in card.labels] == ["plain", "striped"]
    assert card.preprocessing["size"] == [16, 16]
    assert card.preprocessing["image"]["longest_side"] == 16
    protocols = {metric.name: metric.protocol for metric in card.metrics}
    assert "they selected these weights" in protocols["auroc, validation"]
    assert "once at the end" in protocols["auroc, test"]
    assert card.training_data[-1].cases == 4
    assert "plain0" not in card.model_dump_json()  # no patient


def test_the_result_tells_both_splits_apart(result):
    assert {"loss", "auroc", "test_auroc"} <= set(result.metrics)
    assert result.steps == 6
    assert result.notes == ("a note",)


def test_its_weights_fit_the_network_that_its_card_describes(result):
    weights, card = read_model(result.path)
    load_into(Classifier(CONFIG.encoder, int(card.config["classes"])), weights)
    assert read_encoder(result.path).config == CONFIG.encoder


def test_what_the_start_model_may_be_used_for_is_passed_on(tmp_path):
    _, card = read_model(trained(tmp_path, start=START).path)
    assert card.research_only
    assert [data.name for data in card.training_data] == ["Theirs", "Own labelled images (4)"]
    assert card.licence == "your own data; start model: by-nc"
    assert "finetuned from start 2" in card.description


def test_without_validation_it_says_that_nothing_was_selected(tmp_path):
    result = trained(tmp_path, class_cases(("train", "train", "test")))
    assert "nothing was selected" in result.notes[-1]
    assert "test_accuracy" in result.metrics
    assert "accuracy" not in result.metrics


def test_images_in_other_splits_do_not_go_on_with_a_run(tmp_path):
    trained(tmp_path)
    with pytest.raises(InputError, match="other scans, or with other roles"):
        begin_run(tmp_path, CONFIG, class_cases(("train", "train", "test", "val")), None)


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04 no checkpoint"])
def test_a_missing_or_damaged_checkpoint_gives_no_model(tmp_path, content):
    begin_run(tmp_path, CONFIG, CASES, None)
    if content is not None:
        (tmp_path / CHECKPOINT).write_bytes(content)
    with pytest.raises(InputError, match="no checkpoint"):
        export_model(tmp_path)
