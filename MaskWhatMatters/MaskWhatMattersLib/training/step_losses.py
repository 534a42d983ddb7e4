"""What a step of any training gives back."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Losses(NamedTuple):
    """Losses of one step.

    Attributes:
        total: What the step makes smaller, a scalar in the graph.
        parts: Its terms before weights and whatever else is worth a line in the log; detached scalars on the device.
    """

    total: Tensor
    parts: dict[str, Tensor]
