"""Augmentation of batches on the device that holds them, seeded by one generator."""

from __future__ import annotations

import math

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from torch.nn import functional


class AugmentConfig(BaseModel):
    """How far images are turned, scaled, shifted and recoloured."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rotation_deg: float = Field(15.0, ge=0, description="Largest turn either way, degrees.")
    scale: float = Field(1.35, ge=1, description="Largest factor of enlarging or shrinking.")
    shift: float = Field(0.12, ge=0, description="Largest shift, as a share of the side.")
    gamma: float = Field(1.5, ge=1, description="Largest exponent of the intensity curve, and its inverse.")
    contrast: float = Field(0.25, ge=0, description="Largest relative change of contrast.")
    brightness: float = Field(0.1, ge=0, description="Largest shift of the intensities, which lie in 0..1.")
    noise: float = Field(0.05, ge=0, description="Largest standard deviation of added noise.")
    share: float = Field(0.8, ge=0, le=1, description="Share of the samples that are changed at all.")


def random_affine(batch: int, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    """Matrices that `torch.nn.functional.affine_grid` takes, [B, 2, 3]; some are the identity."""

    def uniform(limit: float) -> Tensor:
        return (2 * torch.rand(batch, generator=generator) - 1) * limit * changed

    changed = (torch.rand(batch, generator=generator) < config.share).float()
    angle = uniform(math.radians(config.rotation_deg))
    zoom = torch.exp(uniform(math.log(config.scale)))
    stretch = torch.exp(uniform(math.log(1.1)))
    cos, sin = torch.cos(angle), torch.sin(angle)
    rows = [cos * zoom * stretch, -sin * zoom, uniform(2 * config.shift)]
    rows += [sin * zoom, cos * zoom / stretch, uniform(2 * config.shift)]
    return torch.stack(rows, dim=1).reshape(batch, 2, 3)


def warp(images: Tensor, labels: Tensor, affine: Tensor, ignored: int) -> tuple[Tensor, Tensor]:
    """Move images [B, C, H, W] linearly and labels [B, H, W] by nearest neighbour; outside: 0 and `ignored`."""
    grid = functional.affine_grid(affine, [len(images), 1, *images.shape[2:]], align_corners=False)
    moved = functional.grid_sample(images, grid, mode="bilinear", align_corners=False)
    # 0 is what grid_sample gives outside, so labels are carried as (label - ignored).
    shifted = (labels.float() - ignored)[:, None]
    moved_labels = functional.grid_sample(shifted, grid, mode="nearest", align_corners=False)[:, 0] + ignored
    return moved, moved_labels.round().to(labels.dtype)


def recolour(images: Tensor, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    """Change gamma, contrast, brightness and noise of images in 0..1, [B, C, H, W]; the background 0 stays 0."""
    batch = len(images)

    def uniform(limit: float) -> Tensor:
        return ((2 * torch.rand(batch, generator=generator) - 1) * limit * changed)[:, None, None, None]

    changed = (torch.rand(batch, generator=generator) < config.share).float()
    inside = images > 0
    result = images.clamp(min=1e-4) ** torch.exp(uniform(math.log(config.gamma)))
    result = (result - 0.5) * (1 + uniform(config.contrast)) + 0.5 + uniform(config.brightness)
    noise = torch.randn(images.shape, generator=generator) * uniform(config.noise).abs()
    return ((result + noise) * inside).clamp(0, 1)
