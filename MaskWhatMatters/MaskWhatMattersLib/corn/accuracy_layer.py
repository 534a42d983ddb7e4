"""What can be put around any objective for better numbers; it is none of CORN's and is reported separately.

Averaged main branch for pseudo-labels and prediction, pseudo-labels reduced to their largest component, bidirectional
copy-paste between labelled and unlabelled patches (BCP, CVPR 2023), and first steps on labelled patches alone.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from MaskWhatMattersLib.corn.averaged_network import AveragedNetwork
from MaskWhatMattersLib.corn.batch import CornBatch
from MaskWhatMattersLib.corn.components import largest_component
from MaskWhatMattersLib.corn.losses import dice_and_cross_entropy
from MaskWhatMattersLib.corn.network import CornNetwork, CornNetworkConfig, CornOutput
from MaskWhatMattersLib.corn.objective_base import Objective, Term, weighed
from MaskWhatMattersLib.networks.vnet import VNet, VNetOutput
from MaskWhatMattersLib.training.step_losses import Losses

UNKNOWN = -1


class AccuracyLayer(Objective):
    """An objective on pasted patches, with pseudo-labels from an averaged main branch.

    After the warm-up, labelled patch i and unlabelled patch i (round robin where the numbers differ) exchange a box of
    2/3 of their sides at a random place. The supervised loss (half Dice, half cross entropy, both branches) sees all
    patches, voxels with pseudo-labels at `pseudo_weight`; the wrapped objective adds its unsupervised terms on the
    pasted patches, for which only true labels count as labels.

    Args:
        wrapped: The method.
        network_config: Shape of the networks.
    """

    def __init__(self, wrapped: Objective, network_config: CornNetworkConfig) -> None:
        super().__init__(wrapped.numbers, wrapped.seed)
        self.wrapped = wrapped
        self.teacher = AveragedNetwork(VNet(network_config.branch("transposed")), wrapped.numbers.accuracy.average)

    def forward(self, network: nn.Module, batch: CornBatch, step: int) -> Losses:
        """Losses of a batch; unlabelled patches are not looked at during the warm-up."""
        if step == 0:
            self.start(network)
        if step < round(self.numbers.accuracy.warmup * self.pace) or batch.labelled == batch.images.shape[0]:
            labelled = CornBatch(batch.images[: batch.labelled], batch.labels, batch.scan_ids[: batch.labelled])
            output = network(labelled.images)
            supervised = Term(self.supervised(output, labelled), 1.0)
            return weighed({"supervised": supervised}, self)
        pasted, labels, true = self.paste(batch, self.pseudo_labels(batch), step)
        output = network(pasted)
        weight = torch.where(true, 1.0, self.numbers.accuracy.pseudo_weight)
        supervised = Term(self._weighted(output, labels, weight), 1.0)
        known = torch.where(true, labels, UNKNOWN)[: batch.labelled]
        terms = self.wrapped.unsupervised(output, CornBatch(pasted, known, batch.scan_ids), step)
        return weighed({"supervised": supervised, **terms}, self)

    def plan(self, steps: int) -> None:
        """Fit the warm-up and the method's ramps to the length of the training."""
        super().plan(steps)
        self.wrapped.plan(steps)

    def start(self, network: nn.Module) -> None:
        """Average from the first weights on."""
        self.teacher.start(trained_pair(network).main)
        self.wrapped.start(network)

    def after_step(self, network: nn.Module, step: int) -> None:
        """Average the main branch and whatever the method averages."""
        self.teacher.update(trained_pair(network).main, step)
        self.wrapped.after_step(network, step)

    @torch.no_grad()
    def pseudo_labels(self, batch: CornBatch) -> Tensor:
        """Classes of the unlabelled patches, each foreground class in one piece, long [U, *spatial]."""
        said: VNetOutput = self.teacher(batch.images[batch.labelled :])
        classes = said.logits.argmax(1)
        kept = torch.zeros_like(classes)
        for index in range(1, said.logits.shape[1]):
            kept = torch.where(largest_component(classes == index), index, kept)
        return kept

    @torch.no_grad()
    def paste(self, batch: CornBatch, pseudo: Tensor, step: int) -> tuple[Tensor, Tensor, Tensor]:
        """Patches with exchanged boxes, their labels, and where these are true ones, [B, ...] each."""
        labelled, total = batch.labelled, batch.images.shape[0]
        device = batch.images.device
        inside = self._box(tuple(batch.images.shape[2:]), step, device)
        partner = torch.cat(
            [
                labelled + torch.arange(labelled, device=device) % (total - labelled),
                torch.arange(total - labelled, device=device) % labelled,
            ]
        )
        labels = torch.cat([batch.labels, pseudo])
        true = (torch.arange(total, device=device) < labelled).view(-1, *[1] * (labels.ndim - 1)).expand_as(labels)
        return (
            torch.where(inside, batch.images[partner], batch.images),
            torch.where(inside, labels[partner], labels),
            torch.where(inside, true[partner], true),
        )

    def _box(self, sides: tuple[int, ...], step: int, device: torch.device) -> Tensor:
        """True inside a box of the step, [*spatial]."""
        draw = torch.rand(len(sides), generator=self.generator(step, device), device=device)
        inside = torch.ones(sides, dtype=torch.bool, device=device)
        for axis, side in enumerate(sides):
            length = round(side * self.numbers.accuracy.box)
            start = (draw[axis] * (side - length + 1)).floor()
            position = torch.arange(side, device=device)
            within = (position >= start) & (position < start + length)
            inside = inside & within.view([-1 if other == axis else 1 for other in range(len(sides))])
        return inside

    def _weighted(self, output: CornOutput, labels: Tensor, weight: Tensor) -> Tensor:
        return torch.stack([dice_and_cross_entropy(branch.logits, labels, weight) for branch in output]).sum()


def trained_pair(network: nn.Module) -> CornNetwork:
    """The pair of networks inside whatever wraps it.

    Raises:
        TypeError: There is none.
    """
    for module in network.modules():
        if isinstance(module, CornNetwork):
            return module
    raise TypeError(f"The accuracy layer averages the main branch of a CornNetwork; found {type(network).__name__}.")
