"""Which voxels the correlation looks at: chosen by index before anything is projected, in sizes that never change.

Sizes are fixed and what is missing is masked, so nothing has to be counted on the host and a GPU never waits.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from MaskWhatMattersLib.corn.losses import class_log_odds, foreground_log_odds

Rest = Literal["least", "unsure", "any"]


class Prediction(NamedTuple):
    """What one branch says about each voxel.

    Attributes:
        classes: Most probable class, long [B, N]; N voxels per patch.
        confidence: Log-odds of that class, [B, N]. They rank as its probability does, without ties near 1.
    """

    classes: Tensor
    confidence: Tensor


class Selection(NamedTuple):
    """Chosen voxels of each set and class.

    Attributes:
        indices: Into the N voxels of the set, long [S, C, K]; where too few qualify, the chosen ones repeat.
        valid: False for repetitions, [S, C, K]; valid ones come first.
        available: Number of voxels that qualified, [S, C].
    """

    indices: Tensor
    valid: Tensor
    available: Tensor


@torch.no_grad()
def predict(logits: Tensor) -> Prediction:
    """Most probable class of each voxel and how sure it is.

    Args:
        logits: [B, C, *spatial].
    """
    if logits.shape[1] == 2:
        log_odds = foreground_log_odds(logits)[:, 0].flatten(1)
        return Prediction((log_odds > 0).long(), log_odds.abs())
    confidence, classes = class_log_odds(logits).max(1)
    return Prediction(classes.flatten(1), confidence.flatten(1))


@torch.no_grad()
def select_voxels(
    classes: Tensor,
    confidence: Tensor,
    *,
    class_count: int,
    rows: int,
    confident: int,
    rest: Rest,
    generator: torch.Generator,
) -> Selection:
    """Up to `rows` voxels per set and class: the most confident ones, then others.

    Args:
        classes: Class of each voxel, long [S, N]; -1 does not qualify.
        confidence: Log-odds of that class, [S, N].
        class_count: Number of classes, C.
        rows: Voxels to choose per set and class, K; at most N are.
        confident: How many of them are the most confident ones.
        rest: Which the others are: the `least` confident ones, random ones of which `unsure` ones are likelier
            (without replacement, in proportion to 1 - probability), or `any`, uniformly.
        generator: Random numbers.
    """
    rows = min(rows, classes.shape[1])
    confident = min(confident, rows)
    keys = _keys(confidence, rest, generator) if confident < rows else confidence
    chosen = [_of_class(classes == index, confidence, keys, rows, confident) for index in range(class_count)]
    indices, valid = (torch.stack(parts, 1) for parts in zip(*chosen, strict=True))
    available = torch.stack([(classes == index).sum(1) for index in range(class_count)], 1)
    return Selection(*valid_first(indices, valid), available)


def valid_first(indices: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    """Valid entries first, in their order, then the same again from the start.

    Args:
        indices: [..., K].
        valid: [..., K].
    """
    order = torch.argsort(valid.byte(), dim=-1, descending=True, stable=True)
    count = valid.sum(-1, keepdim=True)
    position = torch.arange(indices.shape[-1], device=indices.device).expand(indices.shape)
    order = order.gather(-1, position % count.clamp_min(1))
    return indices.gather(-1, order), position < count


def gather_rows(features: Tensor, patches: Tensor, voxels: Tensor) -> Tensor:
    """Features of chosen voxels, [M, C].

    Args:
        features: [B, C, *spatial]; no copy is made, whether channels come first or last in memory.
        patches: Index in the batch, long [M].
        voxels: Index in the flattened patch, long [M].
    """
    last = features.movedim(1, -1)
    if last.is_contiguous():
        count = last[0, ..., 0].numel()
        return last.flatten(0, -2).index_select(0, patches * count + voxels)
    return features.flatten(2)[patches, :, voxels]


def _keys(confidence: Tensor, rest: Rest, generator: torch.Generator) -> Tensor:
    """What the voxels outside the most confident ones are ranked by, highest first."""
    if rest == "least":
        return -confidence
    uniform = torch.rand(confidence.shape, generator=generator, device=confidence.device, dtype=confidence.dtype)
    if rest == "any":
        return uniform
    # Weighted sampling without replacement as a ranking (Efraimidis and Spirakis 2006): log(u) / weight.
    return uniform.clamp_min(1e-12).log() / (-confidence).sigmoid().clamp_min(1e-6)


def _of_class(belongs: Tensor, confidence: Tensor, keys: Tensor, rows: int, confident: int) -> tuple[Tensor, Tensor]:
    lowest = -torch.inf
    indices, valid = [], []
    if confident:
        best = torch.where(belongs, confidence, lowest).topk(confident, dim=1)
        indices.append(best.indices)
        valid.append(best.values > lowest)
        belongs = belongs.scatter(1, best.indices, False)
    if confident < rows:
        others = torch.where(belongs, keys, lowest).topk(rows - confident, dim=1)
        indices.append(others.indices)
        valid.append(others.values > lowest)
    return torch.cat(indices, 1), torch.cat(valid, 1)
