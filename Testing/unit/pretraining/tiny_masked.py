"""Small settings and batches of masked image modeling."""

from __future__ import annotations

import torch

from MaskWhatMattersLib.pretraining.batch import MaskedBatch
from MaskWhatMattersLib.pretraining.config import PretrainConfig

SIZES = [((16, 32), (8, 8)), ((32, 64), (16, 16)), ((16, 16, 16), (8, 8, 8)), ((4, 16, 16), (2, 8, 8))]
"""Images and tokens: 8 in all, in 2D and 3D, of any shape."""


def tiny_config(
    method: str, size: tuple[int, ...] = (8, 8, 8), patch_size: tuple[int, ...] = (4, 4, 4), **more: object
) -> PretrainConfig:
    """A transformer of two blocks; `depth` and `channels` are those of the decoder and of the images."""
    dims, depth, channels = len(size), more.pop("depth", 1), more.pop("channels", 1)
    shape = {"spatial_dims": dims, "image_size": size, "patch_size": patch_size, "in_channels": channels}
    return PretrainConfig.model_validate(
        {
            "method": method,
            "encoder": {"kind": "vit", "width": 8, "depth": 2, "heads": 2, **shape},
            "decoder": {"depth": depth, "width": 12, "heads": 2},
            "preprocessing": {"spatial_dims": dims},
            "size": size,
            **more,
        }
    )


def tiny_batch(config: PretrainConfig, hidden_tokens: tuple[int, ...] = (6, 6)) -> MaskedBatch:
    """As many random images as numbers of hidden tokens."""
    generator = torch.Generator().manual_seed(0)
    tokens = torch.Size(config.grid).numel()
    hidden = torch.zeros(len(hidden_tokens), tokens, dtype=torch.bool)
    for image, count in enumerate(hidden_tokens):
        hidden[image, torch.randperm(tokens, generator=generator)[:count]] = True
    images = torch.randn(len(hidden), config.encoder.in_channels, *config.size, generator=generator)
    valid = torch.ones(len(hidden), *config.size, dtype=torch.bool)
    return MaskedBatch(images, hidden.unflatten(1, config.grid), valid)


def with_other_voxels(batch: MaskedBatch, where: torch.Tensor) -> MaskedBatch:
    """The batch with other intensities in some tokens, bool [B, *grid]."""
    for axis, (side, count) in enumerate(zip(batch.images.shape[2:], where.shape[1:], strict=True), start=1):
        where = where.repeat_interleave(side // count, axis)
    return batch._replace(images=torch.where(where[:, None], batch.images.flip(-1) * 3 + 1, batch.images))
