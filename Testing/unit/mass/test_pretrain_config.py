"""Settings of a MASS pretraining."""

from __future__ import annotations

import tomllib

import pytest
from pydantic import ValidationError

from MaskWhatMattersLib.config_files import merged
from MaskWhatMattersLib.mass.pretrain_config import MassPretrainConfig, preset
from static_checks import REPOSITORY

CONFIGS = sorted((REPOSITORY / "configs" / "mass").glob("*.toml"))


@pytest.mark.parametrize("name", ["cpu", "small", "paper"])
def test_presets_are_valid_settings(name):
    config = MassPretrainConfig.model_validate(preset(name))
    assert config.crop <= config.network.window


def test_the_paper_preset_is_the_released_one():
    config = MassPretrainConfig.model_validate(preset("paper"))
    assert (config.network.width, config.crop, config.labels, config.batch_size) == (32, 128, 13, 4)
    assert (config.optimizer, config.learning_rate, config.weight_decay, config.steps) == ("lamb", 2e-3, 1e-5, 100_000)
    assert (config.reference.rotation_deg, config.reference.moved, config.query.moved) == (30, 0.5, 0.8)
    assert config.query.zoom * config.query.stretch == pytest.approx(1 / 0.7)
    assert config.query.noise == 0.04


def test_a_crop_beyond_the_window_is_refused():
    with pytest.raises(ValidationError, match="found 64 and 32"):
        MassPretrainConfig.model_validate({"crop": 64, "network": {"window": 32}})


@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: file.stem)
def test_every_config_fits_the_preset_that_it_names(file):
    text = file.read_text()
    assert f"--config configs/mass/{file.name}" in text
    assert f"--output {file.stem}" in text
    below = preset("small") if "--preset small" in text else {}
    MassPretrainConfig.model_validate(merged(below, tomllib.loads(text)))


def test_the_config_with_every_setting_spells_out_the_cpu_preset():
    written = tomllib.loads((REPOSITORY / "configs" / "mass" / "every-setting.toml").read_text())
    assert set(MassPretrainConfig.model_fields) - set(written) == {"minutes", "proposals"}
    assert MassPretrainConfig.model_validate(written) == MassPretrainConfig.model_validate(preset("cpu"))
