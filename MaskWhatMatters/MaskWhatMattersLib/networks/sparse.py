"""Sparse convolution by dense operations: an encoder that neither sees nor computes anything at hidden positions.

Inputs and outputs of every operation are 0 where tokens are hidden, pools look at visible positions alone, and so do
the statistics of norms. At visible positions this is exactly submanifold sparse convolution, as SparK uses it (Tian et
al. 2023, arXiv:2301.03580, 3.2).
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm

from MaskWhatMattersLib.networks.conv_encoder import ConvEncoder
from MaskWhatMattersLib.networks.masked_norm import masked_norm

_KEEP_ZEROS = (nn.ReLU, nn.LeakyReLU, nn.Identity)
"""Operations on single values that leave 0 at 0, and so need to know nothing."""


def sparse(encoder: ConvEncoder) -> SparseEncoder:
    """The same encoder with the same parameters, running statistics and mode, which respects what is visible.

    Raises:
        TypeError: The encoder has a part for which there is no sparse counterpart.
    """
    return SparseEncoder(encoder)


class SparseEncoder:
    """An encoder at visible positions only.

    Not a module: whatever is trained, moved or saved is the dense encoder that it looks at.

    Attributes:
        encoder: The dense one.
    """

    def __init__(self, encoder: ConvEncoder) -> None:
        self.encoder = encoder
        self._visibility = _Visibility()
        self._counterpart = _counterpart(encoder, self._visibility)

    def __call__(self, images: Tensor, visible: Tensor) -> list[Tensor]:
        """Feature maps as of the dense encoder, 0 at hidden positions.

        Args:
            images: [B, C, *spatial]; what they hold at hidden voxels makes no difference.
            visible: bool [B, 1, *grid], per token.
        """
        self._visibility.begin(visible)
        try:
            shown = torch.where(self._visibility.at(images), images, 0)  # even where hidden voxels are no numbers
            maps: list[Tensor] = self._counterpart(shown)
        finally:
            self._visibility.end()
        return maps


def visible_at(visible: Tensor, spatial: Sequence[int]) -> Tensor:
    """Which positions of a map belong to visible tokens.

    Tokens and positions start at the same voxel. Along each axis a token takes a power of two of positions; the last
    one takes fewer where the image is not made of whole tokens.

    Args:
        visible: bool [B, 1, *grid], per token.
        spatial: Sides of the map, none below that of the grid.

    Returns:
        bool [B, 1, *spatial].

    Raises:
        ValueError: The map is coarser than the grid.
    """
    if any(side < count for side, count in zip(spatial, visible.shape[2:], strict=True)):
        raise ValueError(
            f"Tokens must be at least as large as positions of the deepest map; found {tuple(visible.shape[2:])} "
            f"tokens on a map of {tuple(spatial)}. Use the encoder's patch_size."
        )
    for axis, side in enumerate(spatial, start=2):
        repeats = 1
        while visible.shape[axis] * repeats < side:
            repeats *= 2
        visible = visible.repeat_interleave(repeats, axis).narrow(axis, 0, side)
    return visible


class _Visibility:
    """What is visible during one call, shared by the parts of one sparse encoder."""

    def __init__(self) -> None:
        self._maps: dict[tuple[int, ...], Tensor] = {}
        self._visible: Tensor | None = None

    def begin(self, visible: Tensor) -> None:
        self._visible, self._maps = visible, {}

    def end(self) -> None:
        self._visible, self._maps = None, {}

    def at(self, features: Tensor) -> Tensor:
        """Bool [B, 1, *spatial] for a map of features."""
        spatial = tuple(features.shape[2:])
        if spatial not in self._maps:
            assert self._visible is not None
            self._maps[spatial] = visible_at(self._visible, spatial)
        return self._maps[spatial]


class _SparsePart(nn.Module):
    """A dense operation, shared with the dense encoder, and what is visible."""

    def __init__(self, dense: nn.Module, visibility: _Visibility) -> None:
        super().__init__()
        self.dense = dense
        self.visibility = visibility


class _SparseConvolution(_SparsePart):
    def forward(self, features: Tensor) -> Tensor:
        convolved: Tensor = self.dense(features)
        return convolved * self.visibility.at(convolved)


class _SparseMaxPool(_SparsePart):
    def forward(self, features: Tensor) -> Tensor:
        # Every window has a position in the token of its output, so that no visible output is left at -inf.
        pooled: Tensor = self.dense(torch.where(self.visibility.at(features), features, -torch.inf))
        return torch.where(self.visibility.at(pooled), pooled, 0)


class _SparseNorm(_SparsePart):
    def forward(self, features: Tensor) -> Tensor:
        return masked_norm(self.dense, features, self.visibility.at(features))


def _counterpart(module: nn.Module, visibility: _Visibility) -> nn.Module:
    """A copy of the module's structure around the same operations, each made to respect what is visible."""
    if isinstance(module, (nn.Conv2d, nn.Conv3d)):
        return _SparseConvolution(module, visibility)
    if isinstance(module, (nn.MaxPool2d, nn.MaxPool3d)):
        return _SparseMaxPool(module, visibility)
    if isinstance(module, (_BatchNorm, _InstanceNorm)):
        return _SparseNorm(module, visibility)
    if isinstance(module, _KEEP_ZEROS):
        return module
    children = dict(module.named_children())
    if not children:
        raise TypeError(
            f"{type(module).__name__} has no sparse counterpart; use convolution, max pool, batch or "
            "instance norm and ReLU."
        )
    structure = copy.copy(module)
    structure._modules = {name: _counterpart(child, visibility) for name, child in children.items()}
    return structure
