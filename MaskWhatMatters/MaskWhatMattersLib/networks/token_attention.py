"""Pre-norm attention and feed-forward layers with residual connections, on tokens [B, N, C]."""

from __future__ import annotations

import math

from torch import Tensor, nn
from torch.nn import functional

_MLP_RATIO = 4
_EPS = 1e-4  # of the norms in the released MASS weights, but for those of cross-attention


class CrossAttention(nn.Module):
    """Tokens look at a context (Vaswani et al. 2017, arXiv:1706.03762)."""

    def __init__(self, channels: int, head_width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.context_norm = nn.LayerNorm(channels)
        self.attention = MultiHead(channels, head_width)

    def forward(self, tokens: Tensor, context: Tensor) -> Tensor:
        """Tokens [B, N, C] that have looked at the context [B, M, C]."""
        change: Tensor = self.attention(self.norm(tokens), self.context_norm(context))
        return tokens + change


class SelfAttention(nn.Module):
    """Tokens look at each other."""

    def __init__(self, channels: int, head_width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels, eps=_EPS)
        self.attention = MultiHead(channels, head_width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens [B, N, C]."""
        normed = self.norm(tokens)
        change: Tensor = self.attention(normed, normed)
        return tokens + change


class FeedForward(nn.Module):
    """A perceptron with one hidden layer, four times as wide; per token."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels, eps=_EPS)
        self.perceptron = Perceptron(channels, _MLP_RATIO * channels, channels)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens [B, N, C]."""
        change: Tensor = self.perceptron(self.norm(tokens))
        return tokens + change


class Perceptron(nn.Module):
    """Linear, GELU, linear."""

    def __init__(self, given: int, hidden: int, wanted: int) -> None:
        super().__init__()
        self.first = nn.Linear(given, hidden)
        self.second = nn.Linear(hidden, wanted)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens [..., wanted] from [..., given]."""
        found: Tensor = self.second(functional.gelu(self.first(tokens)))
        return found


class MultiHead(nn.Module):
    """Multi-head attention; queries, keys and values are projected by one matrix, in this order."""

    def __init__(self, channels: int, head_width: int) -> None:
        super().__init__()
        self.heads = number_of_heads(channels, head_width)
        self.projection = nn.Linear(channels, 3 * channels)
        self.output = nn.Linear(channels, channels)
        nn.init.xavier_uniform_(self.projection.weight)

    def forward(self, tokens: Tensor, context: Tensor) -> Tensor:
        """What tokens [B, N, C] take from the context [B, M, C]."""
        channels = tokens.shape[-1]
        weight, bias = self.projection.weight, self.projection.bias
        queries = self._heads_of(functional.linear(tokens, weight[:channels], bias[:channels]))
        both = functional.linear(context, weight[channels:], bias[channels:])
        keys, values = (self._heads_of(part) for part in both.chunk(2, dim=-1))
        mixed = functional.scaled_dot_product_attention(queries, keys, values)
        found: Tensor = self.output(mixed.transpose(1, 2).flatten(2))
        return found

    def _heads_of(self, tokens: Tensor) -> Tensor:
        """[B, N, C] to [B, heads, N, C / heads]."""
        batch, count, channels = tokens.shape
        return tokens.reshape(batch, count, self.heads, channels // self.heads).transpose(1, 2)


def number_of_heads(channels: int, head_width: int) -> int:
    """The fewest heads of equal width, at most `head_width` channels each.

    >>> number_of_heads(512, 32), number_of_heads(8, 32), number_of_heads(48, 32)
    (16, 1, 2)
    """
    return next(heads for heads in range(math.ceil(channels / head_width), channels + 1) if channels % heads == 0)
