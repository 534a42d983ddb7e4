"""The methods that a network pair can be trained with, by name."""

from __future__ import annotations

import torch

from MaskWhatMattersLib.corn.loss_config import CornLossConfig, ObjectiveMode
from MaskWhatMattersLib.corn.network import CornNetworkConfig
from MaskWhatMattersLib.corn.objective_base import Losses, Objective

__all__ = ["Losses", "Objective", "make_objective"]


def make_objective(
    mode: ObjectiveMode,
    network_config: CornNetworkConfig,
    loss_config: CornLossConfig,
    labelled_scans: int,
    *,
    accuracy_layer: bool = False,
    seed: int = 1337,
) -> Objective:
    """The method of a mode; its own weights depend on the seed alone and leave the global random state as it is.

    Args:
        mode: Method; see `CornTrainingConfig`.
        network_config: Shape of the networks.
        loss_config: Numbers; what it leaves open is filled in for the mode.
        labelled_scans: Number of labelled scans, for the pool; `CornBatch.scan_ids` count them from 0.
        accuracy_layer: Whether to wrap the method in an `AccuracyLayer`.
        seed: Of everything that the method draws.

    Raises:
        ValueError: The mode is unknown.
    """
    numbers = loss_config.numbers(mode)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if mode == "supervised":
            return Objective(numbers, seed)
    raise ValueError(f"Unknown mode {mode!r}; choose ours, paper, code, supervised or mean_teacher.")
