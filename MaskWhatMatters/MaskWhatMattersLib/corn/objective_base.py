"""What a training loop asks of a method: one number to make smaller, and what changes after each step."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from MaskWhatMattersLib.corn.batch import CornBatch
from MaskWhatMattersLib.corn.loss_config import LossNumbers
from MaskWhatMattersLib.corn.losses import dice_and_cross_entropy
from MaskWhatMattersLib.corn.network import CornOutput
from MaskWhatMattersLib.training.seeds import step_seed
from MaskWhatMattersLib.training.step_losses import Losses

FULL_LENGTH = 15000
"""Steps of the published trainings; shorter ones have ramps and warm-up in proportion."""


class Term(NamedTuple):
    """One loss and its weight in the total."""

    value: Tensor
    weight: float


class Objective(nn.Module):
    """Plain supervised training of both branches, and the frame of every other method.

    The network is passed in and may be wrapped (Fabric, DistributedDataParallel, compiled): it is only called. What a
    method keeps over the steps is in its state_dict; what it draws depends on nothing but the seed, the process and the
    step, so a resumed training continues exactly.
    """

    def __init__(self, numbers: LossNumbers, seed: int) -> None:
        super().__init__()
        self.numbers = numbers
        self.seed = seed
        self.pace = 1.0

    def plan(self, steps: int) -> None:
        """Fit ramps and warm-up to a training of so many steps, so that an hour on a small computer gets there, too."""
        self.pace = min(1.0, steps / FULL_LENGTH)

    def forward(self, network: nn.Module, batch: CornBatch, step: int) -> Losses:
        """Losses of a batch; step 0 is the first of a training, not of a resumed part of it."""
        if step == 0:
            self.start(network)
        return self.losses(network(batch.images), batch, step)

    def losses(self, output: CornOutput, batch: CornBatch, step: int) -> Losses:
        """Losses where the network has run already; float32 also inside autocast."""
        supervised = Term(self.supervised(output, batch), self.numbers.supervised_weight)
        return weighed({"supervised": supervised, **self.unsupervised(output, batch, step)}, self)

    def supervised(self, output: CornOutput, batch: CornBatch) -> Tensor:
        """Half Dice, half cross entropy on the labelled patches, sum of both branches."""
        return torch.stack(
            [dice_and_cross_entropy(branch.logits[: batch.labelled], batch.labels) for branch in output]
        ).sum()

    def unsupervised(self, output: CornOutput, batch: CornBatch, step: int) -> dict[str, Term]:
        """Further losses; labels of -1 count as unknown."""
        return {}

    def start(self, network: nn.Module) -> None:
        """What precedes the first step, for example copying the network to a teacher."""

    def after_step(self, network: nn.Module, step: int) -> None:
        """What follows the optimizer's step, for example averaging a teacher."""

    def ramp(self, step: int) -> float:
        """Factor of the unsupervised weights at a step."""
        numbers, pace = self.numbers, self.pace
        return gaussian_ramp(
            step, steps=round(numbers.ramp_steps * pace), every=max(1, round(numbers.ramp_every * pace))
        )

    def generator(self, step: int, device: torch.device) -> torch.Generator:
        """Random numbers of one step of this process."""
        distributed = torch.distributed
        rank = distributed.get_rank() if distributed.is_available() and distributed.is_initialized() else 0
        return torch.Generator(device).manual_seed(step_seed(self.seed, rank, step))


def weighed(terms: dict[str, Term], objective: nn.Module) -> Losses:
    """Weighted sum of the terms.

    Parameters of the objective that took no part in them get a gradient of zero: DistributedDataParallel waits for a
    gradient of every parameter.
    """
    total = torch.stack([term.value * term.weight for term in terms.values()]).sum()
    for parameter in objective.parameters():
        if parameter.requires_grad:
            total = total + 0 * parameter.sum()
    return Losses(total, {name: term.value.detach() for name, term in terms.items()})


def gaussian_ramp(step: int, *, steps: int, every: int) -> float:
    """exp(-5 (1 - t/T)^2) with t growing in stairs (Laine and Aila 2017; the paper's weights follow it).

    Args:
        step: Counted from 0.
        steps: Where the ramp ends at 1; 0 has no ramp.
        every: Steps of one stair.
    """
    if steps <= 0:
        return 1.0
    reached = min(step // every * every, steps) / steps
    return math.exp(-5.0 * (1.0 - reached) ** 2)
