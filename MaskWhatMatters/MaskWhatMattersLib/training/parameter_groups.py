"""Which parameters weight decay is for: matrices and kernels, not what shifts, scales or stands in for something."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import nn

_NEVER = ("position", "token", "embedding")


def is_decayed(name: str, parameter: nn.Parameter) -> bool:
    """Whether a parameter decays: biases, norms, positions, mask tokens and mask embeddings do not."""
    return parameter.squeeze().ndim > 1 and not any(word in name.rpartition(".")[2] for word in _NEVER)


def parameter_groups(parameters: Iterable[tuple[str, nn.Parameter]], weight_decay: float) -> list[dict[str, Any]]:
    """Two groups for an optimizer: what decays, and what does not; frozen parameters are left out."""
    decayed: list[nn.Parameter] = []
    kept: list[nn.Parameter] = []
    for name, parameter in parameters:
        if parameter.requires_grad:
            (decayed if is_decayed(name, parameter) else kept).append(parameter)
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": kept, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]
