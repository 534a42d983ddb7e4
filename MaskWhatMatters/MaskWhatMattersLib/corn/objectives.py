"""The methods that a network pair can be trained with, by name."""

from __future__ import annotations

import torch

from MaskWhatMattersLib.corn.accuracy_layer import AccuracyLayer
from MaskWhatMattersLib.corn.corn_objective import CodeObjective, CornObjective, OurObjective, PaperObjective
from MaskWhatMattersLib.corn.loss_config import CornLossConfig, LossNumbers, ObjectiveMode
from MaskWhatMattersLib.corn.mean_teacher import MeanTeacherObjective
from MaskWhatMattersLib.corn.network import CornNetworkConfig
from MaskWhatMattersLib.corn.objective_base import Objective

__all__ = ["Objective", "make_objective"]

_CORN: dict[str, type[CornObjective]] = {"ours": OurObjective, "paper": PaperObjective, "code": CodeObjective}


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
        KeyError: The mode is unknown.
    """
    numbers = loss_config.numbers(mode)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        objective = _plain_objective(mode, numbers, network_config, labelled_scans, seed)
        return AccuracyLayer(objective, network_config) if accuracy_layer else objective


def _plain_objective(
    mode: str, numbers: LossNumbers, network_config: CornNetworkConfig, labelled_scans: int, seed: int
) -> Objective:
    if mode == "supervised":
        return Objective(numbers, seed)
    if mode == "mean_teacher":
        return MeanTeacherObjective(numbers, seed, network_config)
    return _CORN[mode](numbers, seed, network_config, labelled_scans)
