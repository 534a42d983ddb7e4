"""Averaged weights (Polyak averaging)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import nn


class AveragedWeights:
    """Exponential moving average of a module's weights; whatever is not a float is copied.

    Args:
        module: The first average.
        decay: Share that the average keeps in each update.
        warmup: Start with a smaller decay, (1 + step) / (10 + step), so that the random first weights are soon
            forgotten; False keeps `decay` from the first update, as in the mean teacher of UA-MT's code.
    """

    def __init__(self, module: nn.Module, decay: float, *, warmup: bool = True) -> None:
        self.decay = decay
        self.warmup = warmup
        self.weights = {name: value.detach().clone() for name, value in module.state_dict().items()}

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        """Mix in the weights after `step` steps."""
        decay = min(self.decay, (1 + step) / (10 + step)) if self.warmup else self.decay
        for name, value in module.state_dict().items():
            if value.is_floating_point():
                self.weights[name].lerp_(value.detach(), 1 - decay)
            else:
                self.weights[name].copy_(value)

    @contextmanager
    def applied_to(self, module: nn.Module) -> Iterator[None]:
        """Lend the averaged weights to a module, for a validation; its own come back afterwards, whatever happens."""
        own = {name: value.detach().clone() for name, value in module.state_dict().items()}
        module.load_state_dict(self.weights)
        try:
            yield
        finally:
            module.load_state_dict(own)

    def state_dict(self) -> dict[str, torch.Tensor]:
        """The averaged weights."""
        return self.weights

    def load_state_dict(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Continue from saved averaged weights."""
        for name, value in weights.items():
            self.weights[name].copy_(value)
