"""Which images a batch holds."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def choose(count: int, wanted: int, generator: torch.Generator) -> list[int]:
    """Indices below `count` in random order, repeated only where more are wanted than there are."""
    rounds: Sequence[Tensor] = [torch.randperm(count, generator=generator) for _ in range(-(-wanted // count))]
    return [int(index) for index in torch.cat(list(rounds))[:wanted]]
