"""How well the networks do during a training: Dice over whole scans, at the training's own resolution."""

from __future__ import annotations

from contextlib import nullcontext

import torch
from torch import Tensor
from torch.nn import functional

from MaskWhatMattersLib.corn.network import CornNetwork
from MaskWhatMattersLib.corn.preprocessing import normalise
from MaskWhatMattersLib.datasets.device_scans import DeviceScans
from MaskWhatMattersLib.training.engine import AveragedWeights, uncompiled


@torch.inference_mode()
def validate(network: CornNetwork, averaged: AveragedWeights | None, scans: DeviceScans) -> dict[str, float]:
    """Mean Dice of both branches over scans with label maps, in one pass each and without any clean-up.

    Args:
        network: In training mode, and left so.
        averaged: Weights to lend it for the while.
        scans: Those without a label map are left out.

    Returns:
        "dice" and "dice_auxiliary"; empty where no scan has a label map.
    """
    pairs = [(scan, truth > 0) for scan, truth in zip(scans.scans, scans.label_maps, strict=True) if truth is not None]
    if not pairs:
        return {}
    scores: dict[str, list[float]] = {"dice": [], "dice_auxiliary": []}
    with nullcontext() if averaged is None else averaged.applied_to(network), uncompiled(network):
        network.eval()
        for scan, truth in pairs:
            output = network(padded(normalise(scan), network.config.divisor)[None, None])
            inside = tuple(slice(0, side) for side in scan.shape)
            for name, branch in zip(scores, output, strict=True):
                scores[name].append(_dice(branch.logits[0].argmax(0)[inside] > 0, truth))
        network.train()
    return {name: sum(values) / len(values) for name, values in scores.items()}


def padded(image: Tensor, divisor: int) -> Tensor:
    """Zeros at the far end of each axis, up to a multiple of the divisor."""
    missing = [-side % divisor for side in reversed(image.shape)]
    return functional.pad(image, [pad for side in missing for pad in (0, side)])


def _dice(predicted: Tensor, truth: Tensor) -> float:
    return float(2 * (predicted & truth).sum() / (predicted.sum() + truth.sum()).clamp(min=1))
