"""Settings of a training."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from MaskWhatMattersLib.corn.config import CornTrainingConfig


def test_the_defaults_are_the_published_protocol():
    config = CornTrainingConfig()
    assert (config.learning_rate, config.momentum, config.weight_decay) == (0.01, 0.9, 1e-4)
    assert (config.steps, config.patch_size, config.course) == (15000, (80, 112, 112), "constant")
    assert (config.labelled_per_batch, config.unlabelled_per_batch, config.decay) == (2, 2, 0)


def test_the_accuracy_layer_brings_averaged_weights_and_a_falling_learning_rate():
    config = CornTrainingConfig(accuracy_layer=True)
    assert (config.decay, config.course) == (0.99, "poly")


def test_what_is_said_wins_over_what_the_accuracy_layer_brings():
    config = CornTrainingConfig(accuracy_layer=True, average=0, schedule="constant")
    assert (config.decay, config.course) == (0, "constant")


@pytest.mark.parametrize("size", [(80, 112, 100), (16, 16)])
def test_a_patch_that_does_not_fit_the_network_is_refused(size):
    with pytest.raises(ValidationError, match="patch_size"):
        CornTrainingConfig(patch_size=size)


def test_a_method_that_needs_unlabelled_patches_gets_some():
    with pytest.raises(ValidationError, match="unlabelled_per_batch is 0"):
        CornTrainingConfig(mode="code", unlabelled_per_batch=0)
    assert CornTrainingConfig(mode="supervised", unlabelled_per_batch=0).unlabelled_per_batch == 0


def test_a_config_survives_json():
    config = CornTrainingConfig(mode="paper", minutes=3)
    assert CornTrainingConfig.model_validate_json(config.model_dump_json()) == config
