"""Settings of a MASS pretraining."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from MaskWhatMattersLib.mass.pretrain_config import MassPretrainConfig, preset


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
