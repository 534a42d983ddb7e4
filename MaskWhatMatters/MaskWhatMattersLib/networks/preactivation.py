"""Pre-activation residual blocks in 3D: normalise, cut off below zero, convolve (He et al. 2016, arXiv:1603.05027)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

_MOST_SLOW = 20480
_EPS = 1e-4  # of the released MASS weights


def activate(maps: Tensor, eps: float = _EPS) -> Tensor:
    """Instance norm without learned scale, then ReLU; maps [B, C, D, H, W] of any size, also of one voxel.

    Statistics are in float32 whatever the type of the maps. Batch norm of one sample is instance norm; PyTorch's own
    instance norm and group norm are up to 30 times slower where channels come last in memory (torch 2.13, processor).
    """
    with torch.autocast(maps.device.type, enabled=False):
        normed = [_normed(one, eps) for one in maps.split(1)]
        return functional.relu(torch.cat(normed) if len(normed) > 1 else normed[0])


def _normed(one: Tensor, eps: float) -> Tensor:
    """Instance norm of one sample [1, C, D, H, W].

    Where channels come last, the processor's batch norm adds up all voxels one after the other in float32, which is off
    by 1e-3 at 96 voxels a side (torch 2.13). Good enough to learn with; to apply a network, planes are summed apart.
    """
    if one.device.type != "cpu" or one.is_contiguous() or torch.is_grad_enabled():
        scale = shift = None
        if one.dtype in (torch.bfloat16, torch.float16):  # without weights in float32, the mean is rounded to this type
            scale, shift = (
                one.new_ones(one.shape[1], dtype=torch.float32),
                one.new_zeros(one.shape[1], dtype=torch.float32),
            )
        return torch.batch_norm(one, scale, shift, None, None, True, 0.0, eps, True)
    planes = one[0].movedim(0, -1).flatten(1, 2).to(torch.promote_types(one.dtype, torch.float32))
    mean = planes.mean(1).mean(0)
    squares = torch.linalg.vector_norm(planes - mean, dim=1).square()
    variance = squares.sum(0) * (planes.shape[-1] / planes.numel())
    return torch.batch_norm(one, None, None, mean, variance, False, 0.0, eps, True)


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
            inner, past = convolve(activated, self.first.weight), maps
        else:
            weights = torch.cat([self.first.weight, self.shortcut.weight])
            inner, past = convolve(activated, weights).chunk(2, dim=1)
        return convolve(activate(inner), self.second.weight) + past


def convolve(maps: Tensor, weights: Tensor) -> Tensor:
    """Convolution with weights [C', C, 3, 3, 3] and no bias, zeros around the maps [B, C, D, H, W].

    On a processor, PyTorch takes its plain loops for one sample whose B * C * D * H is at most 20480 (`use_mkldnn` in
    its Convolution.cpp, torch 2.13). Twice the same sample goes the fast way, in half the time or less.
    """
    is_slow = maps.device.type == "cpu" and len(maps) == 1 and maps[0, :, :, :, 0].numel() <= _MOST_SLOW
    if is_slow:
        return functional.conv3d(maps.expand(2, -1, -1, -1, -1), weights, padding=1)[:1]
    return functional.conv3d(maps, weights, padding=1)


def _convolution(given: int, channels: int) -> nn.Conv3d:
    return nn.Conv3d(given, channels, kernel_size=3, padding=1, bias=False)
