"""A MASS model whose weights are set by hand: it segments what is bright."""

from __future__ import annotations

from pathlib import Path

import torch

from MaskWhatMattersLib.mass.model_files import save_mass
from MaskWhatMattersLib.mass.preprocessing import MassPreprocessing
from MaskWhatMattersLib.networks.mass_network import MassNetwork
from tiny_mass import tiny_network


def bright_network(window: int = 32) -> MassNetwork:
    """The grey values go past all layers but the last ones, whose answer does not depend on the example.

    Each norm with the cut-off below zero behind it takes the mean away once more; the weights of what has gone through
    one and through three of them are such that about half the contrast of a small bright thing is the limit.
    """
    network = tiny_network(window)
    encoder, (first, second), last = network.encoder, network.decoder.stages[3], network.classifier.second.second
    with torch.no_grad():
        for part in (encoder, first, second, last):
            for weights in part.parameters():
                weights.zero_()
        for channel, sign in enumerate((1.0, -1.0)):
            encoder.stem.weight[channel, 0, 1, 1, 1] = sign
            first.shortcut.weight[channel, channel, 1, 1, 1] = 1.0
        second.first.weight[0, 0, 1, 1, 1] = 1.0
        second.second.weight[1, 0, 1, 1, 1] = -2.4
        last.bias.copy_(torch.tensor([-21.0, -10.0]))
    return network


def bright_mass(folder: Path, spacing_mm: float = 2.0, name: str = "mass-bright", version: str = "0.0.1") -> Path:
    """Write such a network as a model file with its card; returns the .safetensors file."""
    path = folder / f"{name}.safetensors"
    preprocessing = MassPreprocessing(spacing_mm=spacing_mm)
    save_mass(path, bright_network(), preprocessing, version=version, description="For tests.", licence="Apache-2.0")
    return path
