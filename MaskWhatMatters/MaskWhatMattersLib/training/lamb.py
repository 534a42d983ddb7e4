"""LAMB: Adam whose step per tensor is as long as the tensor itself, for large batches (arXiv:1904.00962)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer


class Lamb(Optimizer):
    """LAMB, algorithm 2 of arXiv:1904.00962 with bias correction.

    The trust ratio applies to parameters that decay; others take a plain Adam step. Nothing waits for the device.

    Args:
        parameters: Parameters or groups.
        lr: Learning rate.
        betas: Of the running means of the gradient and its square.
        eps: Keeps the division finite.
        weight_decay: Decoupled; part of the step whose length is adapted.
    """

    def __init__(
        self,
        parameters: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(parameters, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step; `closure` computes the loss again."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.add_(self._update(parameter, group), alpha=-group["lr"])
        return loss

    def _update(self, parameter: Tensor, group: dict[str, Any]) -> Tensor:
        state, (mean_beta, square_beta) = self.state[parameter], group["betas"]
        if not state:
            state["step"] = 0
            state["mean"], state["square"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
        state["step"] += 1
        state["mean"].lerp_(parameter.grad, 1 - mean_beta)
        state["square"].mul_(square_beta).addcmul_(parameter.grad, parameter.grad, value=1 - square_beta)
        mean = state["mean"] / (1 - mean_beta ** state["step"])
        root = (state["square"] / (1 - square_beta ** state["step"])).sqrt_()
        update: Tensor = mean / root.add_(group["eps"])
        if group["weight_decay"] == 0:
            return update
        update = update.add_(parameter, alpha=group["weight_decay"])
        length, step_length = parameter.norm(), update.norm()
        ratio = torch.where((length > 0) & (step_length > 0), length / step_length, torch.ones_like(length))
        return update * ratio
