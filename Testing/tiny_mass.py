"""A MASS model with random weights, for everybody's tests; it segments nothing sensible."""

from __future__ import annotations

from pathlib import Path

import torch

from MaskWhatMattersLib.mass.model_files import save_mass
from MaskWhatMattersLib.mass.preprocessing import MassPreprocessing
from MaskWhatMattersLib.networks.mass_config import MassNetworkConfig
from MaskWhatMattersLib.networks.mass_network import MassNetwork

NAME = "mass-test"


def tiny_network(window: int = 32, width: int = 2, seed: int = 0, **changes) -> MassNetwork:
    """A network with random weights, always the same for one seed; `changes` are fields of its config."""
    config = MassNetworkConfig(
        window=window, width=width, **{"queries": 3, "blocks": 1, "positions": "factorized"} | changes
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return MassNetwork(config).eval()


def tiny_mass(folder: Path, window: int = 32, width: int = 2, seed: int = 0, spacing_mm: float = 3.0) -> Path:
    """Write such a network as a model file with its card.

    Args:
        folder: Where the files go.
        window: Largest side of a reference crop, a multiple of 16.
        width: Channels at full resolution.
        seed: Another one gives other weights.
        spacing_mm: Of the voxels that the network sees.

    Returns:
        The .safetensors file, `mass-test.safetensors`.
    """
    path = folder / f"{NAME}.safetensors"
    save_mass(
        path,
        tiny_network(window, width, seed),
        MassPreprocessing(spacing_mm=spacing_mm),
        version="0.0.0",
        description="Random weights, for tests.",
        licence="Apache-2.0",
    )
    return path
