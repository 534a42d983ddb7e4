"""Model files of MASS networks."""

from __future__ import annotations

import pytest
import torch

from MaskWhatMattersLib.errors import ModelFileError
from MaskWhatMattersLib.mass.model_choice import DEFAULT_MODEL
from MaskWhatMattersLib.mass.model_files import read_mass, save_mass
from MaskWhatMattersLib.mass.preprocessing import MassPreprocessing
from MaskWhatMattersLib.models import TrainingData
from MaskWhatMattersLib.networks.mass_config import PRESETS
from tiny_mass import NAME, tiny_mass, tiny_network


def test_what_was_written_is_read(tmp_path):
    network, preprocessing, card = read_mass(tiny_mass(tmp_path, window=48, spacing_mm=2.5))
    assert (card.name, network.config.window, preprocessing.spacing_mm) == (NAME, 48, 2.5)
    assert not network.training
    weights = tiny_network(window=48).encoder.stem.weight
    torch.testing.assert_close(network.encoder.stem.weight, weights, atol=1e-3, rtol=1e-3)


def test_one_seed_gives_one_model(tmp_path):
    (tmp_path / "again").mkdir()
    first, again = (read_mass(tiny_mass(folder))[2].sha256 for folder in (tmp_path, tmp_path / "again"))
    assert first == again != read_mass(tiny_mass(tmp_path, seed=1))[2].sha256


def test_research_data_make_a_research_model(tmp_path):
    card = save_mass(
        tmp_path / "mine.safetensors",
        tiny_network(),
        MassPreprocessing(),
        version="1",
        description="",
        licence="CC BY-NC 4.0",
        training_data=[TrainingData(name="set", licence="CC BY-NC 4.0", research_only=True)],
    )
    assert (card.name, card.research_only) == ("mine", True)


def test_a_card_of_another_network_is_refused(tmp_path):
    path = tiny_mass(tmp_path)
    card = path.with_suffix(".json")
    card.write_text(card.read_text().replace('"width": 2', '"width": 3'))
    with pytest.raises(ModelFileError, match="of another shape"):
        read_mass(path)
    card.write_text(card.read_text().replace('"mass"', '"unet"'))
    with pytest.raises(ModelFileError, match="made for another network: mass is wanted, found unet"):
        read_mass(path)


def test_without_a_name_the_default_model_is_looked_for(tmp_path, monkeypatch):
    monkeypatch.setattr("MaskWhatMattersLib.models.places.BUNDLED_FOLDER", tmp_path)
    tiny_mass(tmp_path).rename(tmp_path / f"{DEFAULT_MODEL}.safetensors")
    (tmp_path / f"{NAME}.json").rename(tmp_path / f"{DEFAULT_MODEL}.json")
    assert read_mass()[2].name == NAME


def test_the_small_presets_fit_into_an_extension(tmp_path):
    save_mass(
        tmp_path / "mass-tiny.safetensors",
        tiny_network(**PRESETS["tiny"].model_dump()),
        MassPreprocessing(),
        version="0",
        description="",
        licence="none",
    )
    assert (tmp_path / "mass-tiny.safetensors").stat().st_size < 20e6
