"""A network that learns the cases: its optimizer, averaged weights and best weights, and how it takes a step."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from MaskWhatMattersLib.mass.losses import segmentation_loss
from MaskWhatMattersLib.mass.tune_scans import TuneBatch
from MaskWhatMattersLib.training.best_weights import BestWeights
from MaskWhatMattersLib.training.engine import AveragedWeights, prepare_network


class Learner:
    """One of the two networks of a tuning; both learn in the same way.

    Attributes:
        network: Images to logits.
        best: Weights that were best on the held-out cases.
        step: Steps taken.
        waited: Validations since the best one.

    Args:
        fabric: Device and arithmetic.
        network: On any device.
        groups: Parameters of AdamW; `rate` is their learning rate.
        decay: Of the averaged weights, which are then measured and kept; 0: none.
        clip: Largest norm of the gradient; 0: any.
    """

    def __init__(
        self, fabric: Fabric, network: nn.Module, groups: Sequence[Mapping[str, Any]], decay: float, clip: float
    ) -> None:
        self._fabric, self._clip = fabric, clip
        self.network = network
        optimizer = torch.optim.AdamW([{**group, "lr": group["rate"]} for group in groups])
        self._module, self._optimizer = fabric.setup(network, optimizer)
        prepare_network(network)
        self._averaged = AveragedWeights(network, decay) if decay else None
        self.best = BestWeights()
        self.step = 0
        self.waited = 0

    def backward(self, batches: Sequence[TuneBatch]) -> Tensor:
        """Add the gradients of a batch in one or several portions; returns the loss, detached."""
        losses = []
        for batch in batches:
            loss = segmentation_loss(self._module(batch.images), batch.masks, batch.counted)
            self._fabric.backward(loss / len(batches))
            losses.append(loss.detach())
        return torch.stack(losses).mean()

    def learn(self, batches: Sequence[TuneBatch], factor: float) -> Tensor:
        """Take a step at a share of the learning rate; returns the loss, detached."""
        for group in self._optimizer.param_groups:
            group["lr"] = group["rate"] * factor
        loss = self.backward(batches)
        if self._clip:
            self._fabric.clip_gradients(self._module, self._optimizer, max_norm=self._clip, error_if_nonfinite=False)
        self._optimizer.step()
        self._optimizer.zero_grad()
        self.step += 1
        if self._averaged is not None:
            self._averaged.update(self.network, self.step)
        return loss

    def offer(self, scores: Mapping[str, float]) -> None:
        """Keep the weights if they are the best so far; call within `measured`."""
        is_best = self.best.offer(self.step, scores, "dice", self.network)
        if not math.isnan(scores["dice"]):  # nothing was measured
            self.waited = 0 if is_best else self.waited + 1

    @contextmanager
    def measured(self) -> Iterator[nn.Module]:
        """The network with the weights that would be kept now."""
        with torch.no_grad(), self._fabric.autocast():
            if self._averaged is None:
                yield self.network
                return
            with self._averaged.applied_to(self.network):
                yield self.network

    def state_dict(self) -> dict[str, Any]:
        """Everything, for a checkpoint."""
        return {
            "network": self.network.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "averaged": self._averaged.state_dict() if self._averaged is not None else {},
            "best": self.best.state_dict(),
            "step": self.step,
            "waited": self.waited,
        }

    def load_state_dict(self, stored: Mapping[str, Any]) -> None:
        """Continue from a checkpoint."""
        self.network.load_state_dict(stored["network"])
        self._optimizer.load_state_dict(stored["optimizer"])
        if self._averaged is not None:
            self._averaged.load_state_dict(stored["averaged"])
        self.best.load_state_dict(stored["best"])
        self.step, self.waited = stored["step"], stored["waited"]
