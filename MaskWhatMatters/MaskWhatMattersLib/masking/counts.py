"""How many tokens are hidden: exact, rounded, and never all or none."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.masking.config import MaskingConfig

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_Count = TypeVar("_Count", int, "Tensor")
_PARTS = 10**6
"""Ratios are counted in parts of this, so that 10 tokens at 0.8 hide 8: in floats 10 * (1 - 0.8) is below 2."""
_LEAST, _LARGEST = 0.05, 0.95
"""Bounds of both ratios of an equal budget, where the budget leaves the choice."""


class HiddenCounts(NamedTuple):
    """Hidden tokens of each image, int64 [B].

    Attributes:
        inside: Of the region.
        outside: Of everything else.
    """

    inside: Tensor
    outside: Tensor


def hidden_of(tokens: _Count, ratio: float) -> _Count:
    """How many of so many tokens are hidden: as many as leave the rounded share 1 - `ratio` visible, half upwards."""
    return tokens - _rounded(tokens, 1 - ratio)


def overall_count(config: MaskingConfig, tokens: int) -> int:
    """Hidden tokens of an image where `ratio` decides; at least one is hidden and one is seen.

    Raises:
        InputError: The image has a single token, or an equal budget that would hide none or all.
    """
    if tokens < 2:
        raise InputError(
            f"Masking needs at least two tokens in an image, one to hide and one to see; found {tokens}. "
            "Use a larger size or a smaller patch_size."
        )
    hidden = hidden_of(tokens, config.ratio)
    if config.kind == "relevance" and config.equal_budget and not 0 < hidden < tokens:
        raise InputError(
            f"The budget cannot be met: a ratio of {config.ratio:g} hides {hidden} of {tokens} tokens, but at least "
            "one must be hidden and one seen. Choose a ratio nearer to 0.5, a larger size, or a smaller patch_size."
        )
    return min(max(hidden, 1), tokens - 1)


def hidden_counts(config: MaskingConfig, relevant: Tensor, tokens: int) -> HiddenCounts:
    """Hidden tokens inside and outside of the region, for masking by relevance.

    An image without a region hides the share `ratio`. Of a region of two tokens or more at least one is hidden,
    unless `inside` is 0.

    Args:
        config: Ratios, and whether every image has the same budget.
        relevant: Tokens in the region of each image, int64 [B].
        tokens: Of an image.

    Raises:
        InputError: See `overall_count`.
    """
    import torch

    overall = overall_count(config, tokens)
    other = tokens - relevant
    if config.equal_budget:
        inside = _share_of_budget(config, relevant, other, overall)
        return HiddenCounts(inside, overall - inside)
    inside = hidden_of(relevant, config.inside)
    if config.inside > 0:
        inside = torch.where(relevant >= 2, inside.clamp(min=1), inside)
    outside = hidden_of(other, config.outside)
    # Nothing hidden: hide one where more is hidden; nothing seen: show one where less is hidden.
    none, every = inside + outside == 0, inside + outside == tokens
    more_inside = config.inside >= config.outside
    in_region = (relevant > 0) if more_inside else (other == 0)
    off_region = (other > 0) if more_inside else (relevant == 0)
    inside = inside + (none & in_region).long() - (every & ~off_region).long()
    outside = outside + (none & ~in_region).long() - (every & off_region).long()
    empty = relevant == 0
    return HiddenCounts(inside.masked_fill(empty, 0), outside.masked_fill(empty, overall))


@functools.lru_cache(maxsize=16)
def counts_by_region(config: MaskingConfig, tokens: int, device: torch.device) -> HiddenCounts:
    """`hidden_counts` of every size that a region can have, from 0 to all tokens, int64 [tokens + 1].

    To look them up takes two operations of a step on the device, to work them out about forty.
    """
    import torch

    return hidden_counts(config, torch.arange(tokens + 1, device=device), tokens)


@functools.lru_cache(maxsize=64)
def most_visible(config: MaskingConfig, tokens: int) -> int:
    """The largest number of visible tokens that an image can have, whatever its region.

    Args:
        config: Of the masking.
        tokens: Of an image.

    Raises:
        InputError: See `overall_count`.
    """
    import torch

    if config.kind != "relevance" or config.equal_budget:
        return tokens - overall_count(config, tokens)
    counts = counts_by_region(config, tokens, torch.device("cpu"))
    return tokens - int((counts.inside + counts.outside).min())


def same_count(config: MaskingConfig) -> bool:
    """Whether every image has exactly `most_visible` visible tokens."""
    return config.kind != "relevance" or config.equal_budget


def _share_of_budget(config: MaskingConfig, relevant: Tensor, other: Tensor, overall: int) -> Tensor:
    """Hidden tokens in the region when `overall` are hidden in all, int64 [B].

    With n relevant of N tokens, the ratios inside and outside differ by d = inside - outside and average to `ratio`
    when inside is ratio + (1 - n / N) d. Where a ratio would leave 0.05..0.95, it stays there and d shrinks.
    """
    import torch

    tokens = relevant + other
    ratio, contrast = round(config.ratio * _PARTS), round((config.inside - config.outside) * _PARTS)
    inside = (relevant * (ratio * tokens + contrast * other) + tokens * _PARTS // 2) // (tokens * _PARTS)
    inside = torch.maximum(inside, overall - _rounded(other, _LARGEST))
    inside = torch.minimum(inside, overall - _rounded(other, _LEAST))
    inside = torch.maximum(inside, _rounded(relevant, _LEAST))
    inside = torch.minimum(inside, _rounded(relevant, _LARGEST))
    least = torch.maximum((relevant >= 2).long(), overall - other)
    return torch.minimum(torch.maximum(inside, least), relevant.clamp(max=overall))


def _rounded(tokens: _Count, share: float) -> _Count:
    """The share of so many tokens, rounded to the nearest count, half upwards."""
    return (tokens * round(share * _PARTS) + _PARTS // 2) // _PARTS
