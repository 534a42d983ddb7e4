"""Presets and the committed settings: every one is complete, and the papers' numbers are in those of the papers."""

import itertools
import tomllib
from pathlib import Path

import pytest

from MaskWhatMattersLib.finetuning.config import FinetuneConfig
from MaskWhatMattersLib.finetuning.presets import preset
from MaskWhatMattersLib.finetuning.settings import finetune_settings

CONFIGS = Path(__file__).parents[3] / "configs" / "finetune"
TASKS = [("classification", 2), ("classification", 3), ("detection", 2), ("segmentation", 2), ("segmentation", 3)]


@pytest.mark.parametrize(("name", "task"), list(itertools.product(("fast", "paper", "best"), TASKS)))
@pytest.mark.parametrize("kind", [None, "vit", "residual"])
def test_every_preset_is_a_complete_setting(name, task, kind):
    config = FinetuneConfig.model_validate(preset(name, *task, kind))
    assert (config.task, config.encoder.spatial_dims) == task


def test_the_dimensions_follow_the_task():
    assert preset("fast", "detection")["encoder"]["spatial_dims"] == 2
    assert preset("fast", "segmentation")["encoder"]["spatial_dims"] == 3


def test_the_paper_setting_of_classification():
    config = FinetuneConfig.model_validate(preset("paper", "classification", 2))
    assert (config.encoder.kind, config.size, config.batch_size) == ("resnet", (224, 224), 256)
    assert (config.optimizer, config.learning_rate, config.layer_decay) == ("lamb", 2e-3, 0.7)
    assert (config.weight_decay, config.head.label_smoothing) == (0.02, 0.1)


def test_the_paper_setting_of_detection():
    config = FinetuneConfig.model_validate(preset("paper", "detection"))
    assert (config.steps, config.batch_size, config.learning_rate) == (90_000, 2, 2.5e-4)
    assert (config.layer_decay, config.weight_decay) == (0.6, 1e-4)
    assert config.warmup * config.steps == pytest.approx(1000)


def test_the_paper_setting_of_segmentation_in_volumes():
    config = FinetuneConfig.model_validate(preset("paper", "segmentation", 3))
    assert (config.encoder.kind, config.size, config.head.features) == ("vit", (96, 96, 96), 16)
    assert config.learning_rate * config.floor == pytest.approx(1e-4)
    assert (config.weight_decay, config.layer_decay, config.batch_size) == (0.05, 1.0, 16)


def test_the_best_setting_warms_transformers_up_and_lets_convolutions_follow_a_sawtooth():
    vit, conv = (preset("best", "segmentation", 3, kind) for kind in ("vit", "residual"))
    assert (vit.get("schedule"), vit["layer_decay"]) == (None, 0.75)
    assert (conv["schedule"], conv["layer_decay"]) == ("sawtooth", 1.0)


@pytest.mark.parametrize("file", sorted(CONFIGS.glob("*.toml")), ids=lambda file: file.stem)
def test_every_committed_config_fits_the_presets(file):
    text = file.read_text()
    given = tomllib.loads(text)
    assert f"--config configs/finetune/{file.name}" in text
    name = None if "encoder" in given else "best"
    for task, dims in TASKS:
        if given.get("task", task) == task and given.get("encoder", {}).get("spatial_dims", dims) == dims:
            assert finetune_settings(task, given, name=name, dims=dims)[0].task == task


def test_one_config_spells_out_every_setting():
    given = tomllib.loads((CONFIGS / "every-setting.toml").read_text())
    config = FinetuneConfig.model_validate(given)
    assert set(given) == set(config.model_dump()) - {"minutes"}
    for part in ("encoder", "head", "preprocessing", "augment"):
        assert set(given[part]) == set(getattr(config, part).model_dump())
    assert config == FinetuneConfig()


def test_the_experiments_are_there():
    assert {file.stem for file in CONFIGS.glob("*.toml")} == {
        "linear-probe",
        "quarter-of-the-labels",
        "half-of-the-labels",
        "sawtooth",
        "every-setting",
    }
