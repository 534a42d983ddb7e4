"""The yardstick of tuning: a plain U-Net that knows nothing but the cases."""

from __future__ import annotations

from torch import nn

from MaskWhatMattersLib.networks.encoders import ResidualEncoderConfig
from MaskWhatMattersLib.networks.residual_unet import ResidualEncoder, ResidualUNet

_WIDEST = 16  # times the first width
_RARE = -4.0  # logit to begin with: most voxels have no label, and few steps are not lost on that (arXiv 1708.02002)


def baseline_network(labels: int, width: int = 16, window: int = 64) -> nn.Module:
    """A residual U-Net with random weights: images [B, 1, D, H, W] to logits [B, K, D, H, W], one sigmoid per label.

    Args:
        labels: K.
        width: Channels at full resolution.
        window: Side of a crop; its deepest map has sides of four voxels or more.
    """
    levels = min(5, max(2, window.bit_length() - 2))
    widths = tuple(width * min(2**level, _WIDEST) for level in range(levels))
    network = ResidualUNet(ResidualEncoder(ResidualEncoderConfig(widths=widths, blocks=(1,) * levels)), labels)
    for name, parameter in network.head.named_parameters():
        if name.endswith("bias"):
            nn.init.constant_(parameter, _RARE)
    return network
