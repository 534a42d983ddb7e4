"""SimCLR: views of one image lie together, those of others apart (Chen et al. 2020, arXiv:2002.05709)."""

from __future__ import annotations

import torch
from torch import nn

from MaskWhatMattersLib.networks.encoders import make_encoder
from MaskWhatMattersLib.networks.pooling import pooled_features, pooled_width
from MaskWhatMattersLib.pretraining.batch import ViewsBatch
from MaskWhatMattersLib.pretraining.config import PretrainConfig
from MaskWhatMattersLib.pretraining.contrastive import nt_xent
from MaskWhatMattersLib.training.step_losses import Losses


class SimCLR(nn.Module):
    """Contrastive learning with any encoder, the baseline of masked image modeling.

    Attributes:
        encoder: What is kept afterwards.
        projection: Two layers, between which features are made that the encoder need not keep.
    """

    def __init__(self, config: PretrainConfig) -> None:
        super().__init__()
        self.temperature = config.contrastive.temperature
        self.encoder = make_encoder(config.encoder)
        width = pooled_width(config.encoder)
        self.projection = nn.Sequential(
            nn.Linear(width, width), nn.ReLU(inplace=True), nn.Linear(width, config.contrastive.projection)
        )

    def forward(self, batch: ViewsBatch) -> Losses:
        """The contrastive loss; both views pass the encoder together, so that batch norm sees one distribution."""
        images = torch.cat([batch.first, batch.second])
        first, second = self.projection(pooled_features(self.encoder, images)).chunk(2)
        return Losses(nt_xent(first, second, self.temperature), {})
