"""From the features of tokens back to their voxels: one linear layer, or any number of transformer blocks."""

from __future__ import annotations

import math

from torch import Tensor, nn

from MaskWhatMattersLib.networks.encoders import ViTConfig
from MaskWhatMattersLib.networks.transformer import TransformerBlocks, linear, sincos_positions
from MaskWhatMattersLib.pretraining.config import DecoderConfig


class TokenDecoder(nn.Module):
    """The decoder of MAE (He et al. 2022, arXiv:2111.06377), with fixed positions of its own.

    Attributes:
        width: Features of its tokens; those of the encoder where it is one linear layer.
        embedding: From the features of the encoder to its own.
    """

    positions: Tensor

    def __init__(self, encoder: ViTConfig, config: DecoderConfig) -> None:
        super().__init__()
        self.width = config.width if config.depth else encoder.width
        self.embedding = linear(encoder.width, self.width) if config.depth else nn.Identity()
        self.register_buffer("positions", sincos_positions(encoder.grid, self.width), persistent=False)
        self.blocks = TransformerBlocks(config.depth, self.width, config.heads)
        self.norm = nn.LayerNorm(self.width) if config.depth else nn.Identity()
        self.head = linear(self.width, encoder.in_channels * math.prod(encoder.patch_size))

    def forward(self, tokens: Tensor) -> Tensor:
        """Voxels of each token, [B, N, P * C] as by `patchify`, from its own features for all tokens, [B, N, width]."""
        voxels: Tensor = self.head(self.norm(self.blocks(tokens + self.positions)[-1]))
        return voxels
