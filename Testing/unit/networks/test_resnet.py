"""ResNet encoders: the published network, with any number of channels."""

from __future__ import annotations

import torch
from transformers import ResNetBackbone
from transformers import ResNetConfig as BackboneConfig

from MaskWhatMattersLib.networks.encoders import ResNetConfig, make_encoder
from unit.networks.tiny_encoders import tiny_encoder, tiny_images


def test_the_default_is_resnet_50():
    with torch.device("meta"):
        three, one = make_encoder(ResNetConfig(in_channels=3)), make_encoder(ResNetConfig())
    # Published: 25 557 032, of which 2 049 000 are those of the classifier.
    assert sum(weight.numel() for weight in three.parameters()) == 25_557_032 - 2_049_000
    assert one.stem.embedder.convolution.weight.shape == (64, 1, 7, 7)
    assert (one.widths, one.strides) == ((256, 512, 1024, 2048), (4, 8, 16, 32))
    assert one.config.patch_size == (32, 32)


def test_the_maps_are_those_of_transformers():
    encoder = tiny_encoder("resnet").eval()
    theirs = ResNetBackbone(
        BackboneConfig(
            num_channels=1,
            embedding_size=8,
            hidden_sizes=[8, 16, 16],
            depths=[1, 2, 1],
            out_features=["stage1", "stage2", "stage3"],
        )
    )
    theirs.double().eval()
    theirs.embedder.load_state_dict(encoder.stem.state_dict())
    for stage, blocks in zip(theirs.encoder.stages, encoder.stages, strict=True):
        stage.layers.load_state_dict(blocks.state_dict())
    images = tiny_images("resnet")
    torch.testing.assert_close(encoder(images), list(theirs(images).feature_maps))
