"""The residual U-Net: any convolutional encoder, images of any size."""

from __future__ import annotations

import pytest
import torch

from MaskWhatMattersLib.networks.encoders import ResidualEncoderConfig, make_encoder
from MaskWhatMattersLib.networks.residual_unet import ResidualUNet
from unit.networks.tiny_encoders import ENCODERS, tiny_encoder, tiny_images


def tiny_unet(name: str) -> ResidualUNet:
    return ResidualUNet(tiny_encoder(name), classes=3).double()


@pytest.mark.parametrize("name", ENCODERS)
def test_logits_lie_on_the_grid_of_any_image_and_every_weight_learns(name):
    network, images = tiny_unet(name), tiny_images(name)
    logits = network(images)
    assert logits.shape == (len(images), 3, *images.shape[2:])
    logits.square().mean().backward()
    for weight_name, weight in network.named_parameters():
        assert weight.grad.any(), weight_name


@pytest.mark.parametrize("name", ["residual 3D, batch norm", "resnet"])
def test_an_image_is_extended_by_its_last_voxels_to_whole_positions(name):
    network, images = tiny_unet(name).eval(), tiny_images(name)
    stride = network.encoder.strides[-1]
    missing = [-side % stride for side in images.shape[2:]]
    pads = [pad for side in reversed(missing) for pad in (0, side)]
    whole = torch.nn.functional.pad(images, pads, mode="replicate")
    inside = (..., *(slice(side) for side in images.shape[2:]))
    torch.testing.assert_close(network(images), network(whole)[inside])


def test_the_default_is_of_the_size_of_resenc_l():
    with torch.device("meta"):
        network = ResidualUNet(make_encoder(ResidualEncoderConfig()), classes=2)
    assert sum(weight.numel() for weight in network.parameters()) == pytest.approx(102e6, rel=0.1)
