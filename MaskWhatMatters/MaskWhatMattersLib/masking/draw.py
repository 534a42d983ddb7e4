"""Draw which tokens of a batch are hidden, on the training device and without waiting for it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.masking.config import MaskingConfig
from MaskWhatMattersLib.masking.counts import counts_by_region, most_visible, overall_count, same_count
from MaskWhatMattersLib.masking.patterns import block_order, grid_order
from MaskWhatMattersLib.masking.regions import token_relevance
from MaskWhatMattersLib.masking.shuffled import others_regions
from MaskWhatMattersLib.masking.token_mask import TokenMask

__all__ = ["draw_mask", "most_visible", "same_count"]


def draw_mask(
    config: MaskingConfig,
    grid: Sequence[int],
    batch: int,
    *,
    seed: int,
    device: torch.device | str,
    region: Tensor | None = None,
) -> TokenMask:
    """Hide tokens of every image of a batch; a pure function of its arguments on one kind of device.

    Counts are exact and rounded; every image has a hidden token and a visible one. Images without a region hide the
    share `ratio`. Where another kind than "relevance" chooses, a region only lets the mask tell its ratios inside and
    outside.

    Args:
        config: How tokens are chosen, and how many.
        grid: Tokens along the spatial axes, two or three.
        batch: Images, B.
        seed: Of this batch: `training.seeds.step_seed(seed, rank, step)`.
        device: Where random numbers are drawn and the mask is made.
        region: True in the relevant region, bool [B, *spatial], whole tokens; None where no image has one.

    Raises:
        InputError: One token per image, a budget that cannot be met, or a region that does not fit batch and grid.
    """
    tokens = math.prod(grid)
    count = overall_count(config, tokens)
    generator = torch.Generator(device).manual_seed(seed)
    relevant = _relevant_tokens(config, grid, batch, region, generator)
    if config.kind == "relevance" and relevant is not None:
        hidden = _guided(config, relevant.flatten(1), generator)
    elif config.kind == "block":
        hidden = _first(block_order(grid, batch, count, generator), count)
    elif config.kind == "grid":
        hidden = ~_first(grid_order(grid, batch, generator), tokens - count)
    else:
        hidden = _first(torch.rand(batch, tokens, generator=generator, device=generator.device), count)
    return TokenMask(hidden.reshape(batch, *grid), relevant)


def _relevant_tokens(
    config: MaskingConfig, grid: Sequence[int], batch: int, region: Tensor | None, generator: torch.Generator
) -> Tensor | None:
    if region is None:
        return None
    if len(region) != batch:
        raise InputError(f"There must be one region per image; found {len(region)} regions for {batch} images.")
    relevant = token_relevance(region.to(generator.device), grid, config.rule, config.area_share)
    return others_regions(relevant, generator) if config.shuffled else relevant


def _guided(config: MaskingConfig, relevant: Tensor, generator: torch.Generator) -> Tensor:
    """Different shares inside and outside of the region, uniformly at random in each, bool [B, N]."""
    tokens = relevant.shape[1]
    inside = relevant.sum(dim=1)
    counts = counts_by_region(config, tokens, relevant.device)
    first, then = counts.inside[inside, None], counts.outside[inside, None]
    scores = torch.rand(relevant.shape, generator=generator, device=relevant.device)
    order = torch.argsort(scores + 2.0 * ~relevant, dim=1)  # the region first, then the rest, each in random order
    place = torch.arange(tokens, device=relevant.device)
    start = inside[:, None]
    taken = (place < first) | ((place >= start) & (place < start + then))
    return torch.zeros_like(relevant).scatter_(1, order, taken)


def _first(order: Tensor, count: int) -> Tensor:
    """True for the so many tokens that come first, bool [B, N]; order: float [B, N]."""
    chosen = order.topk(count, dim=1, largest=False, sorted=False).indices
    return torch.zeros_like(order, dtype=torch.bool).scatter_(1, chosen, True)
