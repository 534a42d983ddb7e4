"""Small settings of methods with convolutional encoders."""

from __future__ import annotations

import torch

from MaskWhatMattersLib.networks.encoders import ResidualEncoderConfig, ResNetConfig
from MaskWhatMattersLib.pretraining.config import PretrainConfig

SHAPES = {"widths": (4, 8), "blocks": (1, 1), "in_channels": 2}
ENCODERS = {
    "resnet": ResNetConfig(widths=(8, 16), blocks=(1, 1), stem=8, in_channels=2),
    "residual 2D": ResidualEncoderConfig(**SHAPES, spatial_dims=2),
    "residual 3D": ResidualEncoderConfig(**SHAPES, normalization="batch"),
}


def tiny_config(method: str, name: str, **more: object) -> PretrainConfig:
    """Images of 4 tokens along each axis, with two channels."""
    encoder = ENCODERS[name]
    return PretrainConfig.model_validate(
        {
            "method": method,
            "encoder": encoder,
            "decoder": {"width": 8},
            "preprocessing": {"spatial_dims": encoder.spatial_dims},
            "size": [4 * patch for patch in encoder.patch_size],
            **more,
        }
    )


def tiny_images(config: PretrainConfig, seed: int) -> torch.Tensor:
    """Two random images."""
    return torch.randn(2, config.encoder.in_channels, *config.size, generator=torch.Generator().manual_seed(seed))
