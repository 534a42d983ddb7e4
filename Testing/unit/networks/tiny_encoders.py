"""Small convolutional encoders with images that are not made of whole tokens, for tests of several files."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from MaskWhatMattersLib.networks.conv_encoder import ConvEncoder
from MaskWhatMattersLib.networks.encoders import ResidualEncoderConfig, ResNetConfig, make_encoder

SHAPES = {"widths": (4, 8, 8), "blocks": (1, 2, 1)}
ENCODERS = {
    "resnet": (ResNetConfig(widths=(8, 16, 16), blocks=(1, 2, 1), stem=8), (49, 33)),
    "residual 3D, instance norm": (ResidualEncoderConfig(**SHAPES), (11, 10, 7)),
    "residual 3D, batch norm": (ResidualEncoderConfig(**SHAPES, normalization="batch"), (11, 10, 7)),
    "residual 2D, batch norm": (ResidualEncoderConfig(**SHAPES, spatial_dims=2, normalization="batch"), (21, 14)),
}


def tiny_encoder(name: str) -> ConvEncoder:
    """In float64, so that sums in another order make no difference that matters."""
    torch.manual_seed(0)
    encoder: ConvEncoder = make_encoder(ENCODERS[name][0]).double()
    for weight in encoder.parameters():
        if weight.ndim == 1:  # norms that start at 1 and 0 would hide mistakes
            torch.nn.init.normal_(weight, 0.5, 0.5)
    return encoder


def tiny_images(name: str, count: int = 2) -> Tensor:
    """Images [B, 1, *spatial] for that encoder."""
    return torch.randn(count, 1, *ENCODERS[name][1], dtype=torch.float64)


def tiny_visible(name: str, count: int = 2, share: float = 0.5) -> Tensor:
    """Random visible tokens, bool [B, 1, *grid]; some are hidden and some visible in each image."""
    config, spatial = ENCODERS[name]
    grid = [math.ceil(side / patch) for side, patch in zip(spatial, config.patch_size, strict=True)]
    tokens = math.prod(grid)
    return (torch.rand(count, tokens).argsort(1) < round(share * tokens)).reshape(count, 1, *grid)
