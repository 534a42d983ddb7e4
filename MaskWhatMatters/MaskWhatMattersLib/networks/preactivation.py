"""Pre-activation residual blocks in 3D: normalise, cut off below zero, convolve (He et al. 2016, arXiv:1603.05027)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

_EPS = 1e-4  # of the released MASS weights


def activate(maps: Tensor, eps: float = _EPS) -> Tensor:
    """Instance norm without learned scale, then ReLU; maps [B, C, D, H, W] of any size, also of one voxel.

    Statistics are in float32 whatever the type of the maps. Batch norm of one sample is instance norm; PyTorch's own
    instance norm and group norm are up to 30 times slower where channels come last in memory (torch 2.13, processor).
    """
    with torch.autocast(maps.device.type, enabled=False):
        normed = [torch.batch_norm(one, None, None, None, None, True, 0.0, eps, True) for one in maps.split(1)]
        return functional.relu(torch.cat(normed) if len(normed) > 1 else normed[0])


class ResidualBlock(nn.Module):
    """Two pre-activation convolutions; where the number of channels changes, a third one is the shortcut.

    The first convolution and the shortcut see the same activated maps, so that both are computed as one.
    """

    def __init__(self, given: int, channels: int) -> None:
        super().__init__()
        self.first = _convolution(given, channels)
        self.second = _convolution(channels, channels)
        self.shortcut = _convolution(given, channels) if given != channels else None

    def forward(self, maps: Tensor) -> Tensor:
        """Maps [B, channels, D, H, W] from [B, given, D, H, W]."""
        activated = activate(maps)
        if self.shortcut is None:
            inner, past = self.first(activated), maps
        else:
            weights = torch.cat([self.first.weight, self.shortcut.weight])
            inner, past = functional.conv3d(activated, weights, padding=1).chunk(2, dim=1)
        second: Tensor = self.second(activate(inner))
        return second + past


def _convolution(given: int, channels: int) -> nn.Conv3d:
    return nn.Conv3d(given, channels, kernel_size=3, padding=1, bias=False)
