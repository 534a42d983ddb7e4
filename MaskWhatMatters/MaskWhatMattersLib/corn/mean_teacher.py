"""Mean teacher (Tarvainen and Valpola 2017, arXiv:1703.01780) on the same pair of networks, as a baseline."""

from __future__ import annotations

import torch
from torch import nn

from MaskWhatMattersLib.corn.averaged_network import AveragedNetwork
from MaskWhatMattersLib.corn.batch import CornBatch
from MaskWhatMattersLib.corn.loss_config import LossNumbers
from MaskWhatMattersLib.corn.losses import probability_distance
from MaskWhatMattersLib.corn.network import CornNetwork, CornNetworkConfig, CornOutput
from MaskWhatMattersLib.corn.objective_base import Objective, Term


class MeanTeacherObjective(Objective):
    """Each branch agrees on unlabelled patches with its own average, which sees them with other noise.

    Weight 0.1, decay 0.99 and clipped noise of 0.1 follow UA-MT; the teacher runs in evaluation mode with averaged
    batch statistics, where UA-MT's keeps training mode.
    """

    def __init__(self, numbers: LossNumbers, seed: int, network_config: CornNetworkConfig) -> None:
        super().__init__(numbers, seed)
        self.teacher = AveragedNetwork(CornNetwork(network_config), numbers.teacher_average)

    def start(self, network: nn.Module) -> None:
        """Average from the first weights on."""
        self.teacher.start(network)

    def unsupervised(self, output: CornOutput, batch: CornBatch, step: int) -> dict[str, Term]:
        """Squared distance of probabilities to the teacher's on the unlabelled patches, sum of both branches."""
        images = batch.images[batch.labelled :]
        if not images.shape[0]:
            return {}
        noise = torch.randn(
            images.shape, generator=self.generator(step, images.device), device=images.device, dtype=images.dtype
        )
        size = self.numbers.teacher_noise
        taught: CornOutput = self.teacher(images + (noise * size).clamp(-2 * size, 2 * size))
        distances = [
            probability_distance(student.logits[batch.labelled :], teacher.logits)
            for student, teacher in zip(output, taught, strict=True)
        ]
        return {"consistency": Term(torch.stack(distances).sum(), self.ramp(step) * self.numbers.cross_weight)}

    def after_step(self, network: nn.Module, step: int) -> None:
        """Average the teacher."""
        self.teacher.update(network, step)
