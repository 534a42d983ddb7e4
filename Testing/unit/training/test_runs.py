"""The folder of a training, whatever is trained in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.models import ModelCard
from MaskWhatMattersLib.training.runs import (
    MODEL_FILE,
    RunNote,
    begin_run,
    card_name,
    fingerprint,
    free_folder,
    last_logged,
    read_run,
)

CARD = ModelCard(name="run", version="1", architecture="any", licence="own")


def test_a_taken_name_gets_a_number(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "file").touch()
    (tmp_path / "run-2.safetensors").touch()
    assert free_folder(tmp_path / "run") == tmp_path / "run-3"


def test_a_run_can_begin_again_until_something_was_learned(tmp_path: Path) -> None:
    begin_run(tmp_path, RunNote(cases="a", card=CARD))
    begin_run(tmp_path, RunNote(cases="b", card=CARD))
    assert read_run(tmp_path).cases == "b"
    (tmp_path / MODEL_FILE).touch()
    with pytest.raises(InputError, match="other scans"):
        begin_run(tmp_path, RunNote(cases="c", card=CARD))


def test_a_model_of_another_origin_is_not_gone_on_with(tmp_path: Path) -> None:
    begin_run(tmp_path, RunNote(cases="a", card=CARD))
    (tmp_path / MODEL_FILE).touch()
    with pytest.raises(InputError, match="another start model"):
        begin_run(tmp_path, RunNote(cases="a", card=CARD.model_copy(update={"licence": "other"})))


def test_a_folder_that_holds_a_foreign_model_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / MODEL_FILE).touch()
    with pytest.raises(InputError, match="nothing was changed"):
        begin_run(tmp_path, RunNote(cases="a", card=CARD))
    with pytest.raises(InputError, match=r"no run\.json"):
        read_run(tmp_path)


def test_names_of_models_have_plain_letters(tmp_path: Path) -> None:
    assert card_name(tmp_path / "Mein Lauf (2)") == "Mein-Lauf-2"
    assert card_name(tmp_path / "\u00e4") == "model"


def test_a_fingerprint_tells_order_and_roles_apart() -> None:
    assert fingerprint(["a", "b"]) == fingerprint(["a", "b"]) != fingerprint(["b", "a"])


def test_the_last_logged_row_is_one_that_the_model_saw(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("step,loss,dice\n10,3,\n20,2,0.5\n30,1,0.9\n", encoding="utf-8")
    assert last_logged(tmp_path, 25, "dice") == {"step": 20, "loss": 2, "dice": 0.5}
    assert last_logged(tmp_path, 15, "dice") == {}
