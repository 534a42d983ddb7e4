"""Settings of a pretraining that cannot work are refused with what to change."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from MaskWhatMattersLib.pretraining.config import PretrainConfig
from MaskWhatMattersLib.pretraining.presets import preset

VIT = {"kind": "vit", "spatial_dims": 2, "image_size": [32, 32], "patch_size": [8, 8], "width": 8, "heads": 2}
PLAIN = {"encoder": VIT, "preprocessing": {"spatial_dims": 2}, "size": [32, 32], "method": "mae"}
PLAIN |= {"decoder": {"width": 8, "heads": 2}}


def test_the_defaults_are_complete():
    assert PretrainConfig().grid == (6, 6, 6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": [32, 32, 32]}, "agree on the dimensions"),
        ({"preprocessing": {"spatial_dims": 3}}, "agree on the dimensions"),
        ({"method": "spark"}, "spark needs an encoder of kind resnet or residual"),
        ({"encoder": {"kind": "resnet"}}, "mae needs an encoder of kind vit"),
        ({"size": [64, 64]}, "image_size"),
        ({"encoder": VIT | {"patch_size": [7, 8]}}, "whole patches"),
        ({"encoder": VIT | {"heads": 3}}, "heads must divide"),
        ({"decoder": {"width": 10, "heads": 3}}, "decoder's width"),
        ({"masking": {"kind": "relevance"}}, "needs a region"),
        ({"masking": {"ratio": 1.0}}, "less than 1"),
        ({"masking": {"kind": "relevance", "inside": 0, "outside": 0}}, "nothing would be hidden"),
        ({"masking": {"shuffled": True}}, "shuffled needs"),
        ({"region": {"source": "prompts"}}, "there are none"),
        ({"unknown": 1}, "Extra inputs"),
    ],
)
def test_what_cannot_work_is_refused(change, message):
    with pytest.raises(ValidationError, match=message):
        PretrainConfig.model_validate(PLAIN | change)


def test_simclr_needs_two_images():
    with pytest.raises(ValidationError, match="at least 2"):
        PretrainConfig.model_validate(preset("fast", "simclr", 2) | {"batch_size": 1})


def test_conv_encoders_need_whole_tokens():
    with pytest.raises(ValidationError, match="whole tokens"):
        PretrainConfig.model_validate(preset("fast", "spark", 2) | {"size": [100, 128]})
