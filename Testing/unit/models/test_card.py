"""Model cards."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from MaskWhatMattersLib.errors import ModelFileError
from MaskWhatMattersLib.models import Code, Label, Metric, ModelCard, TrainingData, read_card
from unit.models.small_models import card, saved

LUNG = Code(scheme="SCT", value="39607008", meaning="Lung")


def full_card() -> ModelCard:
    return card(
        config={"channels": [8, 16], "text": True},
        preprocessing={"spacing_mm": 1.5},
        labels=(Label(value=1, name="left lung", type=LUNG, type_modifier=LUNG),),
        training_data=(TrainingData(name="set", licence="CC BY 4.0", cases=12),),
        metrics=(Metric(name="Dice", value=0.9, protocol="test split, canonical prompt"),),
    )


def test_a_card_survives_json():
    assert ModelCard.model_validate_json(full_card().model_dump_json()) == full_card()


def test_research_data_cannot_give_a_model_for_everyone():
    data = (TrainingData(name="covid", licence="CC BY-NC 4.0", research_only=True),)
    with pytest.raises(ValidationError, match="covid are for research only"):
        card(training_data=data)
    assert card(training_data=data, research_only=True).research_only


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "a b"])
def test_a_name_must_do_as_a_file_name(name):
    with pytest.raises(ValidationError):
        card(name)


def test_a_metric_needs_its_protocol():
    with pytest.raises(ValidationError):
        Metric(name="Dice", value=0.9, protocol="")


def test_a_missing_card_is_named(tmp_path):
    path = saved(tmp_path)
    path.with_suffix(".json").unlink()
    with pytest.raises(ModelFileError, match=r"tiny\.json is not beside it.*Copy both"):
        read_card(path)


def test_every_wrong_field_of_a_card_is_listed(tmp_path):
    path = saved(tmp_path)
    content = json.loads(path.with_suffix(".json").read_text())
    content.update(version=7, licence="", colour="blue")
    path.with_suffix(".json").write_text(json.dumps(content))
    with pytest.raises(ModelFileError, match=r"(?s)version: .*licence: .*colour: "):
        read_card(path)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe\x00"])
def test_a_card_that_is_no_json_is_refused(tmp_path, content):
    path = saved(tmp_path)
    path.with_suffix(".json").write_bytes(content)
    with pytest.raises(ModelFileError, match=r"tiny\.json"):
        read_card(path)
