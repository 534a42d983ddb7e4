"""The weights that were best on scans that were not learned from."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn


class BestWeights:
    """The weights that were best on the validation split so far.

    Attributes:
        step: When that was.
        scores: All measures then; empty: never.
        weights: On the processor.
    """

    def __init__(self) -> None:
        self.step = 0
        self.scores: dict[str, float] = {}
        self.weights: dict[str, Tensor] = {}

    def offer(self, step: int, scores: Mapping[str, float], metric: str, network: nn.Module) -> bool:
        """Keep the network if it is better than every one before; a value that is no number never is.

        Returns:
            Whether it was kept.
        """
        value = scores.get(metric, math.nan)
        if math.isnan(value) or (self.scores and value <= self.scores[metric]):
            return False
        self.step, self.scores = step, dict(scores)
        self.weights = {name: value.detach().to("cpu", copy=True) for name, value in network.state_dict().items()}
        return True

    @contextmanager
    def applied_to(self, network: nn.Module) -> Iterator[None]:
        """Lend the best weights to a network; its own come back afterwards. Without any, it keeps its own."""
        own = {name: value.detach().clone() for name, value in network.state_dict().items()}
        network.load_state_dict(self.weights or own)
        try:
            yield
        finally:
            network.load_state_dict(own)

    def state_dict(self) -> dict[str, Any]:
        """Everything, for a checkpoint."""
        return {"step": self.step, "scores": self.scores, "weights": self.weights}

    def load_state_dict(self, stored: Mapping[str, Any]) -> None:
        """Continue from a checkpoint."""
        self.step, self.scores, self.weights = stored["step"], dict(stored["scores"]), dict(stored["weights"])
