"""What methods that reconstruct hidden tokens share: the loss, and images for the eye."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from MaskWhatMattersLib.networks.patches import patch_size_of, patchify, unpatchify
from MaskWhatMattersLib.pretraining.batch import MaskedBatch, Reconstruction
from MaskWhatMattersLib.pretraining.config import TargetConfig
from MaskWhatMattersLib.pretraining.losses import predicted_intensity, reconstruction_loss
from MaskWhatMattersLib.training.step_losses import Losses


class ReconstructingMethod(nn.Module):
    """A method of masked image modeling; it says what it makes of all tokens, and has an `encoder`.

    Args:
        target: What is reconstructed.
    """

    def __init__(self, target: TargetConfig) -> None:
        super().__init__()
        self.target = target

    def forward(self, batch: MaskedBatch) -> Losses:
        """The reconstruction loss of a batch whose masks were drawn as configured."""
        loss = reconstruction_loss(self.predict(batch), batch.images, batch, self.target)
        return Losses(loss, {"hidden": batch.hidden.float().mean()})

    @torch.no_grad()
    def reconstruct(self, batch: MaskedBatch) -> Reconstruction:
        """Pictures of a batch."""
        return reconstruction(self.predict(batch), batch, self.target)

    def predict(self, batch: MaskedBatch) -> Tensor:
        """Voxels of all tokens, [B, N, P * C]."""
        raise NotImplementedError


def reconstruction(prediction: Tensor, batch: MaskedBatch, target: TargetConfig) -> Reconstruction:
    """Original, masked and reconstructed images.

    Voxels that are not valid stay as they are: no loss ever told the decoder about them.

    Args:
        prediction: Decoder output, [B, N, P * C], ordered as by `patchify`.
        batch: What was encoded.
        target: What the decoder was taught. Where that is normalized tokens, the mean and deviation of the true ones
            are put back, as in the figures of MAE (arXiv:2111.06377).
    """
    images, grid = batch.images, batch.hidden.shape[1:]
    patch_size = patch_size_of(images.shape[2:], grid)
    tokens, hidden = patchify(images, patch_size), batch.hidden.flatten(1)[..., None]
    lowest = images.flatten(1).amin(1)[:, None, None]
    masked = unpatchify(torch.where(hidden, lowest, tokens), patch_size, grid)
    guessed = unpatchify(predicted_intensity(prediction, images, batch, target), patch_size, grid)
    is_guessed = unpatchify(hidden.expand_as(tokens), patch_size, grid) & batch.valid[:, None]
    return Reconstruction(images, masked, torch.where(is_guessed, guessed, images), batch.hidden)
