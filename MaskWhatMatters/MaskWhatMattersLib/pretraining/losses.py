"""How far a reconstruction is from the image, where the encoder did not see it."""

from __future__ import annotations

import torch
from torch import Tensor

from MaskWhatMattersLib.pretraining.batch import MaskedBatch
from MaskWhatMattersLib.pretraining.config import TargetConfig
from MaskWhatMattersLib.pretraining.patches import patch_size_of, patchify

_EPSILON = 1e-6  # of the variance, as in MAE: a token of one value becomes 0 throughout


def reconstruction_loss(prediction: Tensor, images: Tensor, batch: MaskedBatch, target: TargetConfig) -> Tensor:
    """Mean over hidden tokens of the mean difference over their valid voxels (He et al. 2022, arXiv:2111.06377, 3).

    Args:
        prediction: Decoder output, [B, N, P * C], ordered as by `patchify`.
        images: z-scored intensity, [B, C, *spatial].
        batch: Says which tokens are hidden and which voxels are valid; its own images are not looked at.
        target: Absolute or squared difference, raw or after each token was brought to mean 0 and deviation 1. The
            deviation is that of the population, so that a token with one valid voxel has one.

    Returns:
        A float32 scalar; 0 where no hidden token has a valid voxel.
    """
    patch_size = patch_size_of(images.shape[2:], batch.hidden.shape[1:])
    voxels, valid = patchify(images, patch_size).float(), _valid_voxels(images, batch.valid, patch_size)
    counts = valid.sum(-1)
    if target.normalized:
        mean, deviation = _mean_and_deviation(voxels, valid, counts)
        voxels = (voxels - mean) / deviation
    difference = torch.where(valid, prediction.float() - voxels, 0)
    difference = difference.square() if target.norm == "l2" else difference.abs()
    per_token = difference.sum(-1) / counts.clamp(min=1)
    counted = batch.hidden.flatten(1) & (counts > 0)
    return torch.where(counted, per_token, 0).sum() / counted.sum().clamp(min=1)


def predicted_intensity(prediction: Tensor, images: Tensor, batch: MaskedBatch, target: TargetConfig) -> Tensor:
    """Decoder output [B, N, P * C] as z-scored intensity: mean and deviation of the true tokens are put back."""
    if not target.normalized:
        return prediction.float()
    patch_size = patch_size_of(images.shape[2:], batch.hidden.shape[1:])
    valid = _valid_voxels(images, batch.valid, patch_size)
    mean, deviation = _mean_and_deviation(patchify(images, patch_size).float(), valid, valid.sum(-1))
    return prediction.float() * deviation + mean


def _valid_voxels(images: Tensor, valid: Tensor, patch_size: tuple[int, ...]) -> Tensor:
    """[B, N, P * C]; all channels of a voxel are valid, or none."""
    return patchify(valid[:, None].expand(-1, images.shape[1], *valid.shape[1:]), patch_size)


def _mean_and_deviation(voxels: Tensor, valid: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
    """Of the valid voxels of each token, [B, N, 1] each; mean 0 where there is none."""
    counts = counts.clamp(min=1)[..., None]
    mean = torch.where(valid, voxels, 0).sum(-1, keepdim=True) / counts
    variance = torch.where(valid, voxels - mean, 0).square().sum(-1, keepdim=True) / counts
    return mean, (variance + _EPSILON).sqrt()
