"""A vision transformer that can be given some tokens of an image alone, in 2D and 3D."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from MaskWhatMattersLib.networks.encoders import ViTConfig
from MaskWhatMattersLib.networks.patches import patchify
from MaskWhatMattersLib.networks.transformer import TransformerBlocks, interpolate_positions, linear, sincos_positions


class ViTEncoder(nn.Module):
    """Vision transformer (Dosovitskiy et al. 2021, arXiv:2010.11929) without a class token.

    Attributes:
        config: What it is made of.
        embedding: From the voxels of a token, ordered as by `patchify`, to its features.
        positions: Position embeddings of the tokens of `config.grid`, [N, width]; a parameter where they are learned,
            else a buffer that no model file holds.
    """

    positions: Tensor

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = linear(config.in_channels * math.prod(config.patch_size), config.width)
        if config.position == "learned":
            self.positions = nn.Parameter(torch.empty(config.tokens, config.width))
            nn.init.trunc_normal_(self.positions, std=0.02)
        else:
            self.register_buffer("positions", sincos_positions(config.grid, config.width), persistent=False)
        self.blocks = TransformerBlocks(config.depth, config.width, config.heads, config.mlp_ratio, config.drop_path)
        self.norm = nn.LayerNorm(config.width)

    def forward(
        self,
        images: Tensor,
        keep: Tensor | None = None,
        seen: Tensor | None = None,
        *,
        mask: Tensor | None = None,
        mask_token: Tensor | None = None,
    ) -> Tensor:
        """Features of tokens, [B, K, width].

        Args:
            images: [B, C, *spatial]; any whole number of tokens along each axis.
            keep: Which tokens the encoder is given, in which order, long [B, K]; None: all N in their own order.
            seen: False for those of `keep` that only fill the row up: nobody attends to them, and what is returned for
                them means nothing; bool [B, K]. None: there are no fillers.
            mask: True for tokens of which only the place is known, not the content; bool [B, K], in the order of
                `keep`. None: the content of all is known.
            mask_token: Stands for the content of such tokens, [width].

        Raises:
            ValueError: An image is not made of whole tokens, or one of `mask` and `mask_token` is missing.
        """
        if (mask is None) != (mask_token is None):
            raise ValueError("mask and mask_token belong together; only one of them was given.")
        tokens = self._embed(images, keep)
        if mask is not None and mask_token is not None:
            tokens = torch.where(mask[..., None], mask_token.to(tokens.dtype), tokens)
        tokens = tokens + self._positions(images, keep)
        final: Tensor = self.norm(self.blocks(tokens, seen)[-1])
        return final

    def features(self, images: Tensor) -> list[Tensor]:
        """Feature maps [B, width, *grid] after a quarter, half, three quarters and all of the blocks.

        These are the taps of UNETR (Hatamizadeh et al. 2022, arXiv:2103.10504); the last one is normalized.
        """
        depth = self.config.depth
        taps = [math.ceil(depth * quarters / 4) for quarters in (1, 2, 3)]
        *early, last = self.blocks(self._embed(images, None) + self._positions(images, None), taps=taps)
        grid = self._grid(images)
        return [tokens.transpose(1, 2).reshape(len(tokens), -1, *grid) for tokens in (*early, self.norm(last))]

    def layers(self) -> list[list[nn.Parameter]]:
        """Parameters from the input to the output: embedding and positions, each block, the final norm."""
        learned = [self.positions] if isinstance(self.positions, nn.Parameter) else []
        return [
            [*self.embedding.parameters(), *learned],
            *(list(block.parameters()) for block in self.blocks),
            list(self.norm.parameters()),
        ]

    def _embed(self, images: Tensor, keep: Tensor | None) -> Tensor:
        patches = patchify(images, self.config.patch_size)
        if keep is not None:
            # Whole rows, before the embedding: hidden tokens cost nothing.
            batch, tokens, _ = patches.shape
            rows = keep + tokens * torch.arange(batch, device=keep.device)[:, None]
            patches = patches.flatten(0, 1).index_select(0, rows.flatten()).unflatten(0, keep.shape)
        embedded: Tensor = self.embedding(patches)
        return embedded

    def _positions(self, images: Tensor, keep: Tensor | None) -> Tensor:
        """[N, width], or those of the kept tokens, [B, K, width]."""
        grid, positions = self._grid(images), self.positions
        if grid != self.config.grid:
            if self.config.position == "learned":
                positions = interpolate_positions(positions, self.config.grid, grid)
            else:
                positions = sincos_positions(grid, self.config.width).to(positions)
        return positions if keep is None else functional.embedding(keep, positions)

    def _grid(self, images: Tensor) -> tuple[int, ...]:
        return tuple(side // patch for side, patch in zip(images.shape[2:], self.config.patch_size, strict=True))
