"""UNETR: a convolutional decoder on a vision transformer with patches of any size, in 2D and 3D."""

from __future__ import annotations

import itertools

from monai.networks.blocks.dynunet_block import UnetResBlock, get_conv_layer
from monai.networks.blocks.unetr_block import UnetrUpBlock
from torch import Tensor, nn

from MaskWhatMattersLib.networks.vit import ViTEncoder

Factors = tuple[int, ...]
"""By how much a stage enlarges each spatial axis."""

_TAPS = (0.25, 0.5, 0.75)  # of the blocks, without the last


class UNETR(nn.Module):
    """Segmentation network on a `ViTEncoder` (Hatamizadeh et al. 2022, arXiv:2103.10504).

    MONAI's needs patches of 16 voxels. Here as many stages as the patch has prime factors enlarge the token grid to
    the image: four at 16 voxels, three at 8, and for patches of 4 x 16 x 16 four, of which the deeper two enlarge all
    axes. A stage at the depth l of L is given the features after about l/L of the blocks; so at 16 voxels this is the
    published network.

    Attributes:
        encoder: The transformer.
        head: Everything else.

    Args:
        encoder: The transformer.
        classes: Output channels, background included.
        features: Channels at full resolution; every stage below has twice as many.
    """

    def __init__(self, encoder: ViTEncoder, classes: int, features: int = 16) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = UNETRHead(encoder, classes, features)

    def forward(self, images: Tensor) -> Tensor:
        """Logits [B, classes, *spatial] of images [B, C, *spatial] made of whole patches."""
        logits: Tensor = self.head(images, self.encoder.features(images))
        return logits


class UNETRHead(nn.Module):
    """The decoder of `UNETR`, which learns from scratch."""

    def __init__(self, encoder: ViTEncoder, classes: int, features: int) -> None:
        super().__init__()
        config = encoder.config
        dims, width = config.spatial_dims, config.width
        factors = stage_factors(config.patch_size)
        depth = len(factors)
        channels = [features * 2**level for level in range(depth)]
        self.taps = [_nearest_tap(level / depth) for level in range(1, depth)]
        self.image = UnetResBlock(dims, config.in_channels, features, kernel_size=3, stride=1, norm_name="instance")
        # Level l is reached from the token grid by the stages depth, depth - 1, ... l + 1.
        self.lateral = nn.ModuleList(
            _enlarge(dims, width, channels[level], factors[: depth - level]) for level in range(1, depth)
        )
        self.stages = nn.ModuleList(
            UnetrUpBlock(
                *(dims, width if level == depth - 1 else channels[level + 1], channels[level]),
                kernel_size=3,
                upsample_kernel_size=factors[depth - 1 - level],
                norm_name="instance",
                res_block=True,
            )
            for level in reversed(range(depth))
        )
        self.output = get_conv_layer(dims, features, classes, kernel_size=1, bias=True, conv_only=True)

    def forward(self, images: Tensor, taps: list[Tensor]) -> Tensor:
        """Logits [B, classes, *spatial].

        Args:
            images: [B, C, *spatial].
            taps: From `ViTEncoder.features`, four maps [B, width, *grid].
        """
        skips = [self.image(images)]
        skips += [enlarge(taps[tap]) for tap, enlarge in zip(self.taps, self.lateral, strict=True)]
        decoded = taps[-1]
        for stage, skip in zip(self.stages, reversed(skips), strict=True):
            decoded = stage(decoded, skip)
        logits: Tensor = self.output(decoded)
        return logits


def stage_factors(patch_size: tuple[int, ...]) -> list[Factors]:
    """By how much each stage enlarges each axis, from the token grid to the image.

    Axes with a smaller patch, mostly that across thick slices, are at full resolution first.

    >>> stage_factors((4, 16, 16))
    [(2, 2, 2), (2, 2, 2), (1, 2, 2), (1, 2, 2)]
    """
    return list(itertools.zip_longest(*map(_prime_factors, patch_size), fillvalue=1)) or [(1,) * len(patch_size)]


def _prime_factors(number: int) -> list[int]:
    """Largest first."""
    found = []
    divisor = 2
    while number > 1:
        while number % divisor == 0:
            found.append(divisor)
            number //= divisor
        divisor += 1
    return found[::-1]


def _nearest_tap(depth: float) -> int:
    return min(range(len(_TAPS)), key=lambda tap: abs(_TAPS[tap] - depth))


def _enlarge(dims: int, width: int, channels: int, factors: list[Factors]) -> nn.Sequential:
    """From the token grid to a level: a transposed convolution per stage, each but the first with a residual block."""
    steps: list[nn.Module] = []
    for index, factor in enumerate(factors):
        given = width if index == 0 else channels
        steps.append(get_conv_layer(dims, given, channels, factor, stride=factor, conv_only=True, is_transposed=True))
        if index:
            steps.append(UnetResBlock(dims, channels, channels, kernel_size=3, stride=1, norm_name="instance"))
    return nn.Sequential(*steps)
