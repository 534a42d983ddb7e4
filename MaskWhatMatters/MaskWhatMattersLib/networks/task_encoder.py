"""From a reference's maps and masks to the tokens that say what is to be segmented (Iris, arXiv:2503.19359, 3.1)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from MaskWhatMattersLib.networks.masked_mean import masked_mean
from MaskWhatMattersLib.networks.mass_config import MassNetworkConfig
from MaskWhatMattersLib.networks.preactivation import activate
from MaskWhatMattersLib.networks.token_attention import CrossAttention, FeedForward, SelfAttention
from MaskWhatMattersLib.networks.token_fusion import to_tokens

_EPS = 1e-5  # of the released MASS weights; that of the image encoder and the decoder is another
_MOST_VOXELS = 2**25
"""Of masks encoded at a time, all labels together; bounds the memory and changes no result."""


class TaskEncoder(nn.Module):
    """Tokens of each label at one scale; labels do not influence each other.

    Args:
        config: Of the network.
        channels: Of the maps at this scale.
        stride: Voxels of a mask per voxel of the maps, along each axis.
    """

    def __init__(self, config: MassNetworkConfig, channels: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.queries = nn.Parameter(torch.randn(config.queries, channels))
        self.expand = nn.Conv3d(channels, stride**3, kernel_size=1)
        self.merge = nn.Conv3d(2, 1, kernel_size=3, padding=1)
        self.squeeze = nn.Conv3d(stride**3, channels, kernel_size=1)
        self.positions = Positions(config)
        self.query_norm = nn.LayerNorm(channels)
        self.mean_norm = nn.LayerNorm(channels)
        self.start_norm = nn.LayerNorm(channels)
        self.blocks = nn.ModuleList(_Block(channels, config.head_width) for _ in range(config.blocks))
        self.final_norm = nn.LayerNorm(channels)

    def forward(self, maps: Tensor, masks: Tensor) -> Tensor:
        """Tokens [B, K, T, C]: those of the learned queries, then the one of the masked mean.

        Args:
            maps: Of the reference, [B, C, D / stride, H / stride, W / stride].
            masks: 0 or 1, [B, K, D, H, W].
        """
        image = pixel_shuffle(self.expand(activate(maps, _EPS)), self.stride)
        # The norm is per channel, so that the image's part of the convolution is the same for all labels.
        image = functional.conv3d(activate(image, _EPS), self.merge.weight[:, :1], self.merge.bias, padding=1)
        image = image + self.positions(image.shape[2:])
        together = max(1, _MOST_VOXELS // masks[:, 0].numel())
        return torch.cat([self._encode(maps, image, part) for part in masks.split(together, dim=1)], dim=1)

    def _encode(self, maps: Tensor, image: Tensor, masks: Tensor) -> Tensor:
        batch, labels = masks.shape[:2]
        context = to_tokens(self._context(maps, image, masks))
        mean = self.mean_norm(masked_mean(maps, masks)).flatten(0, 1)[:, None]
        queries = self.query_norm(self.queries).expand(batch * labels, -1, -1)
        tokens = self.start_norm(torch.cat([queries, mean.to(queries.dtype)], dim=1))
        for block in self.blocks:
            tokens = block(tokens, context)
        found: Tensor = self.final_norm(tokens)
        return found.reshape(batch, labels, *found.shape[1:])

    def _context(self, maps: Tensor, image: Tensor, masks: Tensor) -> Tensor:
        """Maps [B * K, C, d, h, w] that know the outline of each mask at full resolution."""
        labels = masks.shape[1]
        # Labels are channels that do not mix: several times faster than labels as samples.
        weights = self.merge.weight[:, 1:].expand(labels, -1, -1, -1, -1)
        outlines = functional.conv3d(activate(masks.to(image.dtype), _EPS), weights, padding=1, groups=labels)
        merged = (image + outlines).flatten(0, 1)[:, None]
        change: Tensor = self.squeeze(activate(pixel_unshuffle(merged, self.stride), _EPS))
        return change + maps.repeat_interleave(labels, dim=0)


class _Block(nn.Module):
    def __init__(self, channels: int, head_width: int) -> None:
        super().__init__()
        self.tokens_first = SelfAttention(channels, head_width)
        self.think_first = FeedForward(channels)
        self.look = CrossAttention(channels, head_width)
        self.think = FeedForward(channels)
        self.tokens_last = SelfAttention(channels, head_width)
        self.think_last = FeedForward(channels)

    def forward(self, tokens: Tensor, context: Tensor) -> Tensor:
        tokens = self.think_first(self.tokens_first(tokens))
        tokens = self.think(self.look(tokens, context))
        last: Tensor = self.think_last(self.tokens_last(tokens))
        return last


class Positions(nn.Module):
    """A learned number per voxel of the window, the same for all labels; smaller crops take its middle.

    Released weights have one parameter per voxel, window ** 3 of them. "factorized" adds up one number per plane along
    each axis, 3 * window parameters, and so cannot mark single voxels; what that costs in accuracy is not measured.
    """

    def __init__(self, config: MassNetworkConfig) -> None:
        super().__init__()
        side = config.window
        shapes = {
            "volume": [(side, side, side)],
            "factorized": [(side, 1, 1), (1, side, 1), (1, 1, side)],
            "none": [],
        }[config.positions]
        self.parts = nn.ParameterList(nn.Parameter(0.02 * torch.randn(1, 1, *shape)) for shape in shapes)

    def forward(self, size: torch.Size) -> Tensor | float:
        """Positions that can be added to a map [B, 1, *size]."""
        found: Tensor | float = 0.0
        for part in self.parts:
            middle = part
            for axis, side in enumerate(size, start=2):
                if part.shape[axis] > 1:
                    middle = middle.narrow(axis, (part.shape[axis] - side) // 2, side)
            found = found + middle
        return found


def pixel_shuffle(maps: Tensor, factor: int) -> Tensor:
    """[B, factor ** 3, d, h, w] to one channel [B, 1, D, H, W] (Shi et al. 2016, arXiv:1609.05158, in 3D)."""
    batch, _, *size = maps.shape
    blocks = maps.reshape(batch, factor, factor, factor, *size).permute(0, 4, 1, 5, 2, 6, 3)
    return blocks.reshape(batch, 1, *(factor * side for side in size))


def pixel_unshuffle(maps: Tensor, factor: int) -> Tensor:
    """The inverse of `pixel_shuffle`."""
    batch, _, *size = maps.shape
    pairs = [number for side in size for number in (side // factor, factor)]
    return maps.reshape(batch, *pairs).permute(0, 2, 4, 6, 1, 3, 5).reshape(batch, -1, *(pairs[0], pairs[2], pairs[4]))
