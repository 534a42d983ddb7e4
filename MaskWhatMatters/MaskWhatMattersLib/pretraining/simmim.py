"""SimMIM: encode all tokens, some of them without their content (Xie et al. 2022, arXiv:2111.09886)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from MaskWhatMattersLib.networks.encoders import ViTConfig
from MaskWhatMattersLib.networks.transformer import linear
from MaskWhatMattersLib.networks.vit import ViTEncoder
from MaskWhatMattersLib.pretraining.batch import MaskedBatch
from MaskWhatMattersLib.pretraining.config import PretrainConfig
from MaskWhatMattersLib.pretraining.reconstruction import ReconstructingMethod


class SimMIM(ReconstructingMethod):
    """Masked image modeling with mask tokens inside the encoder, on 2D or 3D images.

    Attributes:
        encoder: What is kept afterwards.
        head: The decoder, one linear layer as in the paper; `config.decoder` is for other methods.
    """

    def __init__(self, config: PretrainConfig) -> None:
        super().__init__(config.target)
        if not isinstance(config.encoder, ViTConfig):
            raise ValueError(f"simmim needs an encoder of kind vit; found {config.encoder.kind}")
        self.encoder = ViTEncoder(config.encoder)
        self.mask_token = nn.Parameter(nn.init.normal_(torch.empty(config.encoder.width), std=0.02))
        self.head = linear(config.encoder.width, config.encoder.in_channels * math.prod(config.encoder.patch_size))

    def predict(self, batch: MaskedBatch) -> Tensor:
        """Voxels of all tokens, [B, N, P * C]."""
        tokens = self.encoder(batch.images, mask=batch.hidden.flatten(1), mask_token=self.mask_token)
        voxels: Tensor = self.head(tokens)
        return voxels
