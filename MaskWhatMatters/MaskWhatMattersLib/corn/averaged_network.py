"""A copy of a network whose weights follow those of the trained one as a moving average."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn


class AveragedNetwork(nn.Module):
    """Teacher that is never trained itself: always in evaluation mode, without gradients, in the state_dict.

    The trained network may be wrapped (Fabric, DistributedDataParallel, compiled); only its weights are read, in their
    order, which wrappers keep.

    Args:
        network: Gives the shape; copied.
        decay: Share of the old weights; smaller in the first steps, where (1 + step) / (10 + step) is.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).requires_grad_(False).eval()
        self.decay = decay

    def train(self, mode: bool = True) -> AveragedNetwork:
        """Stay in evaluation mode."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, *inputs: Any) -> Any:
        """What the averaged network says."""
        return self.network(*inputs)

    @torch.no_grad()
    def start(self, trained: nn.Module) -> None:
        """Become the trained network as it is."""
        for mine, other in zip(self._tensors(self.network), self._tensors(trained), strict=True):
            mine.copy_(other)

    @torch.no_grad()
    def update(self, trained: nn.Module, step: int) -> None:
        """Mix in the weights after a step, counted from 0; batch statistics as well."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for mine, other in zip(self._tensors(self.network), self._tensors(trained), strict=True):
            if mine.is_floating_point():
                mine.lerp_(other.detach(), 1 - decay)
            else:
                mine.copy_(other)

    @staticmethod
    def _tensors(network: nn.Module) -> list[torch.Tensor]:
        return [*network.parameters(), *network.buffers()]
