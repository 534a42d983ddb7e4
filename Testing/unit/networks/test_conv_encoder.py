"""What every convolutional encoder says about itself."""

from __future__ import annotations

import math

import pytest

from unit.networks.tiny_encoders import ENCODERS, tiny_encoder, tiny_images


@pytest.mark.parametrize("name", ENCODERS)
def test_maps_have_the_widths_and_strides_that_are_told(name):
    encoder, images = tiny_encoder(name), tiny_images(name)
    for features, width, stride in zip(encoder(images), encoder.widths, encoder.strides, strict=True):
        sides = [math.ceil(side / stride) for side in images.shape[2:]]
        assert list(features.shape) == [len(images), width, *sides]
    assert encoder.config.patch_size == (encoder.strides[-1],) * (images.ndim - 2)


@pytest.mark.parametrize("name", ENCODERS)
def test_layers_hold_every_weight_once_from_input_to_output(name):
    encoder = tiny_encoder(name)
    layers = encoder.layers()
    assert len(layers) == 1 + sum(encoder.config.blocks)
    # Weights are named in the order in which they are used.
    assert [id(weight) for layer in layers for weight in layer] == [id(weight) for weight in encoder.parameters()]
