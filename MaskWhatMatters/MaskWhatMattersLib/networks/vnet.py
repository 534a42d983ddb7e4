"""V-Net of any width and depth, in 2D and 3D, with two ways to get back to full resolution.

The shape is that of the semi-supervised left atrium literature (UA-MT, MC-Net, CAML, CORN): 3x3x3 convolutions without
residual paths, strided convolutions on the way down, skip connections that add. See Milletari et al. 2016
(arXiv:1606.04797) for the original V-Net.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, cast

import torch
from monai.networks.layers.factories import Conv, Dropout
from monai.networks.layers.utils import get_norm_layer
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

Upsampling = Literal["transposed", "trilinear"]
Normalization = Literal["batch", "instance"]

_CONVOLUTIONS = (1, 2, 3, 3, 3)  # per level, from full resolution down; deeper levels repeat the last


class VNetConfig(BaseModel):
    """Shape of a `VNet`; the defaults are the setting of the CORN paper, 9.449 M parameters."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    spatial_dims: int = Field(3, ge=2, le=3, description="2 for images, 3 for volumes.")
    in_channels: int = Field(1, ge=1, description="Values per voxel.")
    classes: int = Field(2, ge=1, description="Logits per voxel, background included.")
    width: int = Field(16, ge=1, description="Channels at full resolution; doubled at every level.")
    depth: int = Field(5, ge=2, description="Levels of resolution.")
    upsampling: Upsampling = Field("transposed", description="How the decoder goes up.")
    normalization: Normalization = Field("batch", description="After every convolution.")
    dropout: float = Field(0.5, ge=0, lt=1, description="Of whole channels, at the deepest and the last features.")

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels per level, from full resolution down."""
        return tuple(self.width * 2**level for level in range(self.depth))

    @property
    def convolutions(self) -> tuple[int, ...]:
        """Convolutions per level, from full resolution down."""
        return tuple(_CONVOLUTIONS[min(level, len(_CONVOLUTIONS) - 1)] for level in range(self.depth))

    @property
    def divisor(self) -> int:
        """Side lengths of the input must be multiples of this."""
        return int(2 ** (self.depth - 1))


class VNetOutput(NamedTuple):
    """What one V-Net says about a batch.

    Attributes:
        logits: [B, classes, *spatial], before any activation.
        features: [B, width, *spatial], the last decoder features before dropout.
        dropped: The same after dropout, which is what the logits were computed from; equal to `features` in eval mode.
    """

    logits: Tensor
    features: Tensor
    dropped: Tensor


class VNet(nn.Module):
    """Encoder and decoder on images [B, C, *spatial], 2D or 3D.

    Attributes:
        recomputes: Whether the backward pass computes the features of each level again instead of keeping them, for
            about half the memory and a third more time. Running statistics of batch normalization then move twice.
    """

    def __init__(self, config: VNetConfig) -> None:
        super().__init__()
        self.config = config
        self.recomputes = False
        widths, counts = config.widths, config.convolutions
        self.encoder = nn.ModuleList([_convolutions(config, config.in_channels, widths[0], counts[0])])
        self.down = nn.ModuleList()
        self.up = nn.ModuleList()
        self.decoder = nn.ModuleList()
        for shallow, deep, count in zip(widths, widths[1:], counts[1:], strict=False):
            self.down.append(_block(config, shallow, deep, kernel=2, stride=2))
            self.encoder.append(_convolutions(config, deep, deep, count))
        for shallow, deep, count in zip(
            reversed(widths[:-1]), reversed(widths[1:]), reversed(counts[:-1]), strict=True
        ):
            self.up.append(_up(config, deep, shallow))
            self.decoder.append(_convolutions(config, shallow, shallow, count))
        self.dropout = Dropout[Dropout.DROPOUT, config.spatial_dims](config.dropout)
        self.head = Conv[Conv.CONV, config.spatial_dims](config.width, config.classes, kernel_size=1)

    def forward(self, images: Tensor) -> VNetOutput:
        """Logits and features of every voxel.

        Raises:
            ValueError: A side is not a multiple of `config.divisor`.
        """
        sides = tuple(images.shape[2:])
        if any(side % self.config.divisor for side in sides):
            raise ValueError(
                f"Image sides must be multiples of {self.config.divisor}; found {sides}. Pad or crop the image."
            )
        features = self._level(self.encoder[0], images)
        skipped = []
        for down, level in zip(self.down, self.encoder[1:], strict=True):
            skipped.append(features)
            features = self._level(level, down(features))
        features = self.dropout(features)
        for up, level in zip(self.up, self.decoder, strict=True):
            features = self._level(level, up(features) + skipped.pop())
        dropped = self.dropout(features)
        return VNetOutput(self.head(dropped), features, dropped)

    def _level(self, level: nn.Module, features: Tensor) -> Tensor:
        if self.recomputes and torch.is_grad_enabled():
            return cast(Tensor, checkpoint(level, features, use_reentrant=False))
        return cast(Tensor, level(features))


def _convolutions(config: VNetConfig, channels: int, width: int, count: int) -> nn.Sequential:
    inputs = (channels, *[width] * (count - 1))
    return nn.Sequential(*[_block(config, wide, width, kernel=3) for wide in inputs])


def _block(config: VNetConfig, channels: int, width: int, *, kernel: int, stride: int = 1) -> nn.Sequential:
    convolution = Conv[Conv.CONV, config.spatial_dims]
    padding = kernel // 2 if stride == 1 else 0
    return nn.Sequential(
        convolution(channels, width, kernel_size=kernel, stride=stride, padding=padding),
        get_norm_layer(config.normalization, config.spatial_dims, width),
        nn.ReLU(inplace=True),
    )


def _up(config: VNetConfig, channels: int, width: int) -> nn.Sequential:
    norm, activation = get_norm_layer(config.normalization, config.spatial_dims, width), nn.ReLU(inplace=True)
    if config.upsampling == "transposed":
        step = Conv[Conv.CONVTRANS, config.spatial_dims](channels, width, kernel_size=2, stride=2)
        return nn.Sequential(step, norm, activation)
    mode = "trilinear" if config.spatial_dims == 3 else "bilinear"
    return nn.Sequential(
        nn.Upsample(scale_factor=2, mode=mode, align_corners=True), _block(config, channels, width, kernel=3)
    )
