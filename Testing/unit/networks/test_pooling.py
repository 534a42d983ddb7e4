"""One vector per image from any encoder."""

from __future__ import annotations

import torch

from MaskWhatMattersLib.networks.encoders import ViTConfig, make_encoder
from MaskWhatMattersLib.networks.pooling import pooled_features, pooled_width
from unit.networks.tiny_encoders import tiny_encoder, tiny_images


def test_a_map_is_averaged_over_its_positions():
    encoder, images = tiny_encoder("resnet").eval(), tiny_images("resnet")
    pooled = pooled_features(encoder, images)
    assert pooled.shape == (2, pooled_width(encoder.config)) == (2, 16)
    torch.testing.assert_close(pooled[:, 3], encoder(images)[-1][:, 3].mean((1, 2)))


def test_tokens_are_averaged():
    config = ViTConfig(spatial_dims=2, image_size=(8, 8), patch_size=(4, 4), width=8, depth=1, heads=2)
    encoder, images = make_encoder(config), torch.randn(2, 1, 8, 8)
    pooled = pooled_features(encoder, images)
    assert pooled.shape == (2, pooled_width(config)) == (2, 8)
    torch.testing.assert_close(pooled[:, 3], encoder(images)[..., 3].mean(1))
