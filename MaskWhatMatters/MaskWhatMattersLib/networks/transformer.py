"""Transformer blocks in which some tokens can be hidden from all others, and positions on a grid of any size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

_TEMPERATURE = 10_000.0  # longest wavelength over 2 pi, tokens (Vaswani et al. 2017, arXiv:1706.03762)


class TransformerBlock(nn.Module):
    """A pre-norm block (Dosovitskiy et al. 2021, arXiv:2010.11929) with stochastic depth (arXiv:1603.09382).

    MONAI's block has neither stochastic depth nor one meaning of its attention mask: with fused attention it wants
    another shape than without.
    """

    def __init__(self, width: int, heads: int, hidden: int, drop_path: float = 0.0) -> None:
        super().__init__()
        self.heads, self.drop_path = heads, drop_path
        self.norm1 = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.projection = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))

    def forward(self, tokens: Tensor, attended: Tensor | None = None) -> Tensor:
        """Tokens [B, K, width] after the block; `attended`, bool [B, 1, 1, K], is False for those nobody looks at."""
        tokens = tokens + self._some_images(self._attention(self.norm1(tokens), attended))
        return tokens + self._some_images(self.mlp(self.norm2(tokens)))

    def _attention(self, tokens: Tensor, attended: Tensor | None) -> Tensor:
        batch, count, width = tokens.shape
        qkv = self.qkv(tokens).reshape(batch, count, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        queries, keys, values = qkv.unbind()
        mixed = functional.scaled_dot_product_attention(queries, keys, values, attn_mask=attended)
        return cast(Tensor, self.projection(mixed.transpose(1, 2).reshape(batch, count, width)))

    def _some_images(self, change: Tensor) -> Tensor:
        """In training, leave the change out for some images, and make up for it in the others."""
        if not self.training or not self.drop_path:
            return change
        keeps = torch.rand(len(change), 1, 1, device=change.device) >= self.drop_path
        return change * keeps / (1 - self.drop_path)


class TransformerBlocks(nn.ModuleList):
    """Blocks in a row.

    Attributes:
        recomputes: Whether the backward pass computes the features inside each block again instead of keeping them,
            for a fraction of the memory and a third more time.
    """

    def __init__(self, depth: int, width: int, heads: int, mlp_ratio: float = 4.0, drop_path: float = 0.0) -> None:
        rates = [drop_path * index / max(1, depth - 1) for index in range(depth)]
        super().__init__(TransformerBlock(width, heads, round(width * mlp_ratio), rate) for rate in rates)
        self.recomputes = False
        self.apply(_start_weights)

    def forward(self, tokens: Tensor, seen: Tensor | None = None, *, taps: Sequence[int] = ()) -> list[Tensor]:
        """Tokens after all blocks, preceded by those after each number of blocks in `taps`.

        Args:
            tokens: [B, K, width].
            seen: False for fillers, which nobody attends to, bool [B, K]; None where there are none. An image with
                nothing but fillers gives finite numbers without a meaning.
            taps: Numbers of blocks, growing.
        """
        attended = None if seen is None else (seen | ~seen.any(1, keepdim=True))[:, None, None]
        found = []
        for done, block in enumerate(self, start=1):
            if self.recomputes and torch.is_grad_enabled():
                tokens = cast(Tensor, checkpoint(block, tokens, attended, use_reentrant=False))
            else:
                tokens = block(tokens, attended)
            found += [tokens] * taps.count(done)
        return [*found, tokens]


def linear(inputs: int, outputs: int) -> nn.Linear:
    """A linear layer with the start of MAE (arXiv:2111.06377, A.1): Xavier uniform, no bias."""
    layer = nn.Linear(inputs, outputs)
    _start_weights(layer)
    return layer


def sincos_positions(grid: Sequence[int], width: int) -> Tensor:
    """Fixed position embeddings [N, width] of the tokens of a grid, for any width.

    Each axis gets an equal share of the features (the first axes one more where the width does not divide), half of
    them sines and half cosines of the position, at wavelengths from 2 pi to 20000 pi tokens. Where the width is a
    multiple of twice the number of axes, these are the embeddings of MAE (arXiv:2111.06377), extended to more axes.

    Raises:
        ValueError: Fewer features than axes.
    """
    if width < len(grid):
        raise ValueError(f"Positions on {len(grid)} axes need at least as many features; found {width}.")
    features = []
    places = torch.meshgrid(*(torch.arange(side, dtype=torch.float64) for side in grid), indexing="ij")
    for axis, place in enumerate(places):
        share = width // len(grid) + (axis < width % len(grid))
        sines = math.ceil(share / 2)
        frequencies = _TEMPERATURE ** (-torch.arange(sines, dtype=torch.float64) / sines)
        angles = place.reshape(-1, 1) * frequencies
        features += [angles.sin(), angles.cos()[:, : share - sines]]
    return torch.cat(features, dim=1).float()


def interpolate_positions(positions: Tensor, grid: Sequence[int], wanted: Sequence[int]) -> Tensor:
    """Learned position embeddings [N, width] of one grid for the tokens of another: linear between token centres.

    Raises:
        ValueError: The positions are not those of the grid.
    """
    if len(positions) != math.prod(grid) or len(grid) != len(wanted):
        raise ValueError(f"There are {len(positions)} positions for a grid of {tuple(grid)}, wanted {tuple(wanted)}.")
    mode = {1: "linear", 2: "bilinear", 3: "trilinear"}[len(grid)]
    maps = positions.T.reshape(1, -1, *grid)
    resized = functional.interpolate(maps, tuple(wanted), mode=mode, align_corners=False)
    return resized.flatten(2)[0].T.contiguous()


def _start_weights(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        nn.init.zeros_(module.bias)
