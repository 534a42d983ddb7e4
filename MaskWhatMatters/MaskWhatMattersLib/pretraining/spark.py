"""SparK: a convolutional encoder computes at visible tokens only, and a light decoder reconstructs the hidden ones.

Tian et al. 2023, arXiv:2301.03580; Mask What Matters (arXiv:2509.23054) changes which tokens are hidden.
"""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn

from MaskWhatMattersLib.networks.conv_encoder import ConvEncoder
from MaskWhatMattersLib.networks.encoders import ViTConfig, make_encoder
from MaskWhatMattersLib.networks.light_decoder import Densify, LightDecoder
from MaskWhatMattersLib.networks.patches import patchify
from MaskWhatMattersLib.networks.sparse import sparse
from MaskWhatMattersLib.pretraining.batch import MaskedBatch
from MaskWhatMattersLib.pretraining.config import PretrainConfig
from MaskWhatMattersLib.pretraining.reconstruction import ReconstructingMethod


class SparK(ReconstructingMethod):
    """Masked image modeling with a convolutional encoder, on 2D or 3D images.

    Attributes:
        encoder: What is kept afterwards; dense.
        densify: From the deepest map up; a map at full resolution is left out, as no step of the decoder starts there.
    """

    def __init__(self, config: PretrainConfig) -> None:
        super().__init__(config.target)
        if isinstance(config.encoder, ViTConfig):
            raise ValueError(f"spark needs an encoder of kind resnet or residual; found {config.encoder.kind}")
        dims = config.encoder.spatial_dims
        self.patch_size = config.encoder.patch_size
        self.encoder = cast(ConvEncoder, make_encoder(config.encoder))
        self.sparse_encoder = sparse(self.encoder)
        self.decoder = LightDecoder(
            dims, config.decoder.width, self.encoder.strides[-1].bit_length() - 1, config.encoder.in_channels
        )
        channels = [
            width for width, stride in zip(self.encoder.widths, self.encoder.strides, strict=True) if stride > 1
        ]
        self.densify = nn.ModuleList(
            Densify(dims, wide, width, 3 if place else 1, self.encoder.normalization)
            for place, (wide, width) in enumerate(zip(reversed(channels), self.decoder.widths, strict=False))
        )

    def predict(self, batch: MaskedBatch) -> Tensor:
        """Voxels of all tokens, [B, N, P * C]."""
        visible = ~batch.hidden[:, None]
        maps = reversed(self.sparse_encoder(batch.images, visible))
        dense = [densify(features, visible) for densify, features in zip(self.densify, maps, strict=False)]
        return patchify(self.decoder(dense), self.patch_size)
