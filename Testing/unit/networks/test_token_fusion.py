"""Tokens and maps that look at each other."""

from __future__ import annotations

import torch

from MaskWhatMattersLib.networks.token_fusion import TokenFusion


def test_maps_and_tokens_keep_their_shapes_and_learn_of_each_other():
    fusion = TokenFusion(8, 32, blocks=1)
    maps, tokens = torch.randn(2, 8, 2, 3, 4), torch.randn(2, 3, 4, 8)
    found_maps, found_tokens = fusion(maps, tokens)
    assert (found_maps.shape, found_tokens.shape) == (maps.shape, tokens.shape)
    assert not torch.allclose(fusion(maps, tokens + torch.randn(8))[0], found_maps)
    assert not torch.allclose(fusion(maps + torch.randn_like(maps), tokens)[1], found_tokens)


def test_places_stay_where_they_are():
    fusion = TokenFusion(8, 32, blocks=1)
    maps, tokens = torch.randn(1, 8, 2, 3, 4), torch.randn(1, 2, 3, 8)
    mirrored = fusion(maps.flip(3), tokens)[0].flip(3)
    torch.testing.assert_close(fusion(maps, tokens)[0], mirrored, atol=1e-5, rtol=1e-5)
