"""Attention layers, against those of PyTorch."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from MaskWhatMattersLib.networks.token_attention import CrossAttention, MultiHead, SelfAttention, number_of_heads


def test_attention_is_that_of_pytorch_with_the_same_weights():
    ours, theirs = MultiHead(8, head_width=4), nn.MultiheadAttention(8, 2, batch_first=True)
    theirs.load_state_dict(
        {
            "in_proj_weight": ours.projection.weight,
            "in_proj_bias": ours.projection.bias,
            "out_proj.weight": ours.output.weight,
            "out_proj.bias": ours.output.bias,
        }
    )
    tokens, context = torch.randn(2, 3, 8), torch.randn(2, 5, 8)
    torch.testing.assert_close(ours(tokens, context), theirs(tokens, context, context)[0], atol=1e-6, rtol=1e-5)


def test_tokens_are_kept_where_attention_adds_nothing():
    for layer, given in ((CrossAttention(4, 4), 2), (SelfAttention(4, 4), 1)):
        nn.init.zeros_(layer.attention.output.weight)
        nn.init.zeros_(layer.attention.output.bias)
        tokens = torch.randn(1, 3, 4)
        torch.testing.assert_close(layer(*[tokens] * given), tokens)


@pytest.mark.parametrize(("channels", "heads"), [(512, 16), (32, 1), (8, 1), (48, 2), (20, 1), (50, 2), (49, 7)])
def test_heads_are_of_equal_width_and_at_most_32_channels(channels, heads):
    assert number_of_heads(channels, 32) == heads
