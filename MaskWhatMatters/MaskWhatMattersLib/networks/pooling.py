"""One vector per image from any encoder."""

from __future__ import annotations

from torch import Tensor, nn

from MaskWhatMattersLib.networks.encoders import EncoderConfig, ViTConfig


def pooled_width(config: EncoderConfig) -> int:
    """Length of the vector."""
    return config.width if isinstance(config, ViTConfig) else config.widths[-1]


def pooled_features(encoder: nn.Module, images: Tensor) -> Tensor:
    """The mean of the tokens of a vision transformer or of the deepest map of a convolutional encoder, [B, width]."""
    features: Tensor | list[Tensor] = encoder(images)
    return features.mean(1) if isinstance(features, Tensor) else features[-1].flatten(2).mean(-1)
