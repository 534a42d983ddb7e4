"""The methods of pretraining by name; each is a module with an encoder that gives the losses of a batch."""

from __future__ import annotations

from typing import Protocol

from torch import nn

from MaskWhatMattersLib.pretraining.batch import MaskedBatch, Reconstruction, ViewsBatch
from MaskWhatMattersLib.pretraining.config import PretrainConfig
from MaskWhatMattersLib.training.step_losses import Losses


class PretrainMethod(Protocol):
    """What the loop asks of a method; SimCLR takes views and reconstructs nothing."""

    encoder: nn.Module

    def __call__(self, batch: MaskedBatch | ViewsBatch) -> Losses:
        """Losses of a batch."""
        ...

    def reconstruct(self, batch: MaskedBatch) -> Reconstruction:
        """What the method makes of hidden tokens."""
        ...


def make_method(config: PretrainConfig) -> nn.Module:
    """A method with random weights; a `PretrainMethod`."""
    if config.method == "mae":
        from MaskWhatMattersLib.pretraining.mae import MAE

        return MAE(config)
    if config.method == "simmim":
        from MaskWhatMattersLib.pretraining.simmim import SimMIM

        return SimMIM(config)
    if config.method == "spark":
        from MaskWhatMattersLib.pretraining.spark import SparK

        return SparK(config)
    from MaskWhatMattersLib.pretraining.simclr import SimCLR

    return SimCLR(config)
