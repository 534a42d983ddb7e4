"""MAE: encode what is visible, and reconstruct the rest from it (He et al. 2022, arXiv:2111.06377)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from MaskWhatMattersLib.masking.draw import most_visible, same_count
from MaskWhatMattersLib.networks.encoders import ViTConfig
from MaskWhatMattersLib.networks.vit import ViTEncoder
from MaskWhatMattersLib.pretraining.batch import MaskedBatch, Reconstruction
from MaskWhatMattersLib.pretraining.config import PretrainConfig
from MaskWhatMattersLib.pretraining.reconstruction import ReconstructingMethod, reconstruction
from MaskWhatMattersLib.pretraining.token_decoder import TokenDecoder


class MAE(ReconstructingMethod):
    """Masked autoencoder on 2D or 3D images.

    Nothing waits for the device: every image of every batch takes `room` places in the encoder, and where an image has
    fewer visible tokens, hidden ones fill up without being seen. The mask token stands for them, too.

    Attributes:
        encoder: What is kept afterwards.
        room: Tokens of an image that the encoder is given; visible ones beyond it are left out.
        is_full: Whether every image has exactly `room` visible tokens, so that there are no fillers.
    """

    def __init__(self, config: PretrainConfig) -> None:
        super().__init__(config.target)
        if not isinstance(config.encoder, ViTConfig):
            raise ValueError(f"mae needs an encoder of kind vit; found {config.encoder.kind}")
        self.encoder = ViTEncoder(config.encoder)
        self.decoder = TokenDecoder(config.encoder, config.decoder)
        self.mask_token = nn.Parameter(nn.init.normal_(torch.empty(self.decoder.width), std=0.02))
        self.is_linear = config.decoder.depth == 0
        self.room = most_visible(config.masking, config.encoder.tokens)
        self.is_full = same_count(config.masking)

    @torch.no_grad()
    def reconstruct(self, batch: MaskedBatch) -> Reconstruction:
        """Pictures of a batch, whatever its masks."""
        return reconstruction(self._predict(batch, batch.hidden[0].numel(), is_full=False), batch, self.target)

    def predict(self, batch: MaskedBatch) -> Tensor:
        """Voxels of all tokens, [B, N, P * C]."""
        return self._predict(batch, self.room, self.is_full)

    def _predict(self, batch: MaskedBatch, room: int, is_full: bool) -> Tensor:
        """Voxels of all tokens, [B, N, P * C]."""
        hidden = batch.hidden.flatten(1)
        keep = hidden.to(torch.uint8).argsort(dim=1, stable=True)[:, :room]  # visible tokens first, in their order
        seen = None if is_full else ~hidden.gather(1, keep)
        visible = self.decoder.embedding(self.encoder(batch.images, keep, seen))
        unknown = self.mask_token.to(visible.dtype).expand(len(visible), 1, -1)
        if self.is_linear:
            # Without blocks nothing passes from token to token, and the encoder would learn nothing.
            unknown = unknown + _mean(visible, seen)
        if seen is not None:
            visible = torch.where(seen[..., None], visible, unknown)
        tokens = unknown.expand(-1, hidden.shape[1], -1).scatter(1, keep[..., None].expand_as(visible), visible)
        voxels: Tensor = self.decoder(tokens)
        return voxels


def _mean(tokens: Tensor, seen: Tensor | None) -> Tensor:
    """Mean of the seen tokens of each image, [B, 1, width]."""
    if seen is None:
        return tokens.mean(1, keepdim=True)
    counts = seen.sum(1).clamp(min=1)[:, None, None]
    return torch.where(seen[..., None], tokens, 0).sum(1, keepdim=True) / counts
