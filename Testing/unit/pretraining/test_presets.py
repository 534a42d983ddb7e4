"""Presets: every one is a complete setting, and the papers' numbers are in those of the papers."""

from __future__ import annotations

import itertools
import tomllib
from pathlib import Path

import pytest

from MaskWhatMattersLib.config_files import merged
from MaskWhatMattersLib.pretraining.config import PretrainConfig
from MaskWhatMattersLib.pretraining.presets import preset

CONFIGS = Path(__file__).parents[3] / "configs" / "pretrain"
NAMES = ("fast", "paper", "best")
METHODS = ("spark", "mae", "simmim", "simclr")


@pytest.mark.parametrize(("name", "method", "dims"), list(itertools.product(NAMES, METHODS, (2, 3))))
def test_every_preset_is_a_complete_setting(name, method, dims):
    config = PretrainConfig.model_validate(preset(name, method, dims))
    assert config.method == method
    assert config.encoder.spatial_dims == dims


def test_a_method_is_chosen_by_the_dimensions():
    assert preset("fast", None, 2)["method"] == "spark"
    assert preset("fast", None, None)["method"] == "mae"


def test_the_paper_setting_of_mask_what_matters():
    config = PretrainConfig.model_validate(preset("paper", "spark", 2))
    assert (config.encoder.kind, config.size, config.grid) == ("resnet", (224, 224), (7, 7))
    assert (config.batch_size, config.epochs, config.optimizer, config.learning_rate) == (128, 500, "lamb", 1e-4)
    assert (config.weight_decay, config.weight_decay_end, config.clip) == (0.04, 0.2, 5)
    assert config.warmup * config.epochs == pytest.approx(40)
    assert config.target.normalized
    assert config.target.norm == "l2"


def test_the_paper_setting_of_mae_on_volumes():
    config = PretrainConfig.model_validate(preset("paper", "mae", 3))
    assert (config.encoder.width, config.encoder.depth, config.grid) == (768, 12, (6, 6, 6))
    assert (config.decoder.depth, config.decoder.width, config.masking.ratio) == (8, 512, 0.75)
    assert (config.target.normalized, config.target.norm) == (False, "l1")
    assert config.learning_rate * config.floor == pytest.approx(1e-4)


@pytest.mark.parametrize("file", sorted(CONFIGS.glob("*.toml")), ids=lambda file: file.stem)
def test_every_config_fits_the_preset_that_it_names(file):
    text = file.read_text()
    assert f"--config configs/pretrain/{file.name} --output {file.stem}" in text
    config = PretrainConfig.model_validate(merged(preset("paper", "spark", 2), tomllib.loads(text)))
    assert config.masking.kind in ("random", "relevance")


def test_the_three_settings_of_mask_what_matters_are_there():
    pairs = []
    for name in ("low", "medium", "high"):
        masking = tomllib.loads((CONFIGS / f"mwm-{name}.toml").read_text())["masking"]
        pairs.append((masking["inside"], masking["outside"]))
    assert pairs == [(0.6, 0.2), (0.7, 0.3), (0.8, 0.4)]
