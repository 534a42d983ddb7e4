"""Densify and the light decoder of SparK, in 2D and 3D."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from MaskWhatMattersLib.networks.light_decoder import Densify, LightDecoder


@pytest.mark.parametrize("normalization", ["batch", "instance"])
@pytest.mark.parametrize("dims", [2, 3])
def test_hidden_positions_get_the_learned_vector_and_visible_ones_are_normalized(dims, normalization):
    densify = Densify(dims, channels=3, width=3, kernel_size=1, normalization=normalization)
    densify.projection = nn.Identity()
    features, visible = torch.randn(2, 3, *[8] * dims) + 5, torch.rand(2, 1, *[4] * dims) < 0.5
    seen = visible
    for axis in range(2, 2 + dims):
        seen = seen.repeat_interleave(2, axis)
    dense = densify(features * seen, visible).movedim(1, -1)
    torch.testing.assert_close(dense[~seen[:, 0]], densify.mask_token.expand_as(dense[~seen[:, 0]]))
    torch.testing.assert_close(dense[seen[:, 0]].mean(0), torch.zeros(3), atol=1e-5, rtol=0)


@pytest.mark.parametrize(("dims", "steps"), [(2, 5), (3, 2), (3, 1)])
def test_each_step_doubles_the_resolution_and_halves_the_channels(dims, steps):
    decoder = LightDecoder(dims, width=8, steps=steps, out_channels=2)
    assert decoder.widths == (8, 4, 2, 1, 1, 1)[: steps + 1]
    assert decoder([torch.randn(2, 8, *[2] * dims)]).shape == (2, 2, *[2 * 2**steps] * dims)


def test_every_map_is_added_where_it_belongs():
    decoder = LightDecoder(2, width=8, steps=3, out_channels=1).eval()
    maps = [torch.randn(1, width, side, side) for width, side in zip(decoder.widths, (2, 4, 8), strict=False)]
    voxels = decoder(maps)
    for place in range(3):
        others = [features * (place != other) for other, features in enumerate(maps)]
        assert not torch.equal(decoder(others), voxels)
    assert torch.equal(decoder([maps[0], maps[1] * 0]), decoder(maps[:1]))
