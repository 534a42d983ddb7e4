"""Where the tokens of all labels and the maps of the query look at each other (Iris, arXiv:2503.19359, section 3.2)."""

from __future__ import annotations

from torch import Tensor, nn

from MaskWhatMattersLib.networks.token_attention import CrossAttention, FeedForward, SelfAttention


class TokenFusion(nn.ModuleList):
    """Blocks in which tokens look at the maps, the maps at the tokens, and the tokens at each other.

    Since tokens of all labels look at each other, labels segmented together and one by one give different results.
    """

    def __init__(self, channels: int, head_width: int, blocks: int) -> None:
        super().__init__(_Block(channels, head_width) for _ in range(blocks))

    def forward(self, maps: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Maps [B, C, D, H, W] and tokens [B, K, T, C] that know of each other."""
        places, labels = to_tokens(maps), tokens.flatten(1, 2)
        for block in self:
            places, labels = block(places, labels)
        return places.transpose(1, 2).reshape(maps.shape), labels.reshape(tokens.shape)


class _Block(nn.Module):
    def __init__(self, channels: int, head_width: int) -> None:
        super().__init__()
        self.labels_see_places = CrossAttention(channels, head_width)
        self.labels_think = FeedForward(channels)
        self.places_see_labels = CrossAttention(channels, head_width)
        self.places_think = FeedForward(channels)
        self.labels_see_labels = SelfAttention(channels, head_width)
        self.labels_think_again = FeedForward(channels)

    def forward(self, places: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        labels = self.labels_think(self.labels_see_places(labels, places))
        places = self.places_think(self.places_see_labels(places, labels))
        labels = self.labels_think_again(self.labels_see_labels(labels))
        return places, labels


def to_tokens(maps: Tensor) -> Tensor:
    """One token per voxel, [B, N, C], of maps [B, C, D, H, W]."""
    return maps.flatten(2).transpose(1, 2)
