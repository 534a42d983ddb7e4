"""Back from the maps of a sparse encoder to voxels: hidden positions are filled in, then a light U-Net goes up.

After SparK (Tian et al. 2023, arXiv:2301.03580, 3.3), in any number of dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from monai.networks.layers.factories import Conv, Norm
from torch import Tensor, nn

from MaskWhatMattersLib.networks.masked_norm import masked_norm
from MaskWhatMattersLib.networks.sparse import visible_at


class Densify(nn.Module):
    """Fills hidden positions of one map with a learned vector, [B, C, *S] to [B, width, *S].

    Args:
        spatial_dims: 2 or 3.
        channels: Of the map.
        width: Of what comes out.
        kernel_size: Of the projection; from the second scale on it must look at neighbours.
        normalization: "batch" or "instance"; of visible positions, before hidden ones are filled.
    """

    def __init__(self, spatial_dims: int, channels: int, width: int, kernel_size: int, normalization: str) -> None:
        super().__init__()
        self.norm = Norm[normalization, spatial_dims](channels, affine=True)
        self.mask_token = nn.Parameter(nn.init.trunc_normal_(torch.empty(channels), std=0.02))
        convolution = Conv[Conv.CONV, spatial_dims]
        self.projection = convolution(channels, width, kernel_size, padding=kernel_size // 2)

    def forward(self, features: Tensor, visible: Tensor) -> Tensor:
        """The dense map; visible is bool [B, 1, *grid], per token."""
        seen = visible_at(visible, features.shape[2:])
        normed = masked_norm(self.norm, features, seen)
        token = self.mask_token.to(normed.dtype).reshape(1, -1, *[1] * (features.ndim - 2))
        dense: Tensor = self.projection(torch.where(seen, normed, token))
        return dense


class LightDecoder(nn.Module):
    """Doubles the resolution in steps; each step first adds the map of its resolution, if there is one.

    Args:
        spatial_dims: 2 or 3.
        width: Channels of the deepest map; halved at every step.
        steps: How often the resolution doubles.
        out_channels: Values per voxel.
    """

    def __init__(self, spatial_dims: int, width: int, steps: int, out_channels: int) -> None:
        super().__init__()
        self.widths = tuple(max(1, width >> step) for step in range(steps + 1))
        self.steps = nn.ModuleList(
            _UpStep(spatial_dims, wide, narrow) for wide, narrow in zip(self.widths, self.widths[1:], strict=False)
        )
        self.head = Conv[Conv.CONV, spatial_dims](self.widths[-1], out_channels, 1)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Voxels [B, out_channels, *S * 2^steps] from maps of `widths`, [B, width, *S] first, each twice as fine."""
        features = maps[0]
        for place, step in enumerate(self.steps):
            if 0 < place < len(maps):
                features = features + maps[place]
            features = step(features)
        voxels: Tensor = self.head(features)
        return voxels


class _UpStep(nn.Sequential):
    def __init__(self, spatial_dims: int, channels: int, width: int) -> None:
        convolution, norm = Conv[Conv.CONV, spatial_dims], Norm[Norm.BATCH, spatial_dims]
        super().__init__(
            Conv[Conv.CONVTRANS, spatial_dims](channels, channels, kernel_size=4, stride=2, padding=1),
            convolution(channels, channels, 3, padding=1, bias=False),
            norm(channels),
            nn.ReLU6(inplace=True),
            convolution(channels, width, 3, padding=1, bias=False),
            norm(width),
        )
