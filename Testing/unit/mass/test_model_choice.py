"""The model that is meant where nobody names one."""

from __future__ import annotations

from pathlib import Path

import pytest

from MaskWhatMattersLib.errors import ModelFileError
from MaskWhatMattersLib.mass.model_choice import DEFAULT_MODEL, find_mass_model
from tiny_mass import tiny_mass


@pytest.fixture
def user_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    folder = tmp_path / "MaskWhatMatters" / "models"
    folder.mkdir(parents=True)
    return folder


def test_without_a_model_the_message_says_how_to_make_one(user_folder: Path) -> None:
    with pytest.raises(ModelFileError, match="mass pretrain --images") as failure:
        find_mass_model()
    assert str(user_folder / DEFAULT_MODEL) in str(failure.value)


def test_a_pretraining_into_the_named_folder_becomes_the_default(user_folder: Path) -> None:
    (user_folder / DEFAULT_MODEL).mkdir()
    made = tiny_mass(user_folder)
    made.rename(user_folder / DEFAULT_MODEL / "model.safetensors")
    assert find_mass_model() == user_folder / DEFAULT_MODEL / "model.safetensors"


def test_another_model_that_is_not_there_is_named(user_folder: Path) -> None:
    with pytest.raises(ModelFileError, match="no model"):
        find_mass_model("mine")
