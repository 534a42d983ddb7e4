"""With what a training is tried: whole batches first, and what is left when memory runs out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from MaskWhatMattersLib.networks.devices import torch_device
from MaskWhatMattersLib.training.resources import Rung


@dataclass(frozen=True)
class Means:
    """One way to train.

    Attributes:
        device: Where.
        portions: In how many parts a batch is taken; their gradients add up.
    """

    device: str
    portions: int = 1


def portion_rungs(device: str, portions: Iterable[int]) -> list[Rung[Means]]:
    """Rungs for `OutOfMemoryLadder`: whole batches, batches in portions, at last the processor.

    Args:
        device: First choice.
        portions: Numbers of portions that a batch can be taken in, rising.
    """
    rungs = [Rung("whole batches", Means(device))]
    rungs += [Rung(f"batches in {count} portions", Means(device, count)) for count in portions]
    if torch_device(device).type != "cpu":
        rungs.append(Rung("the processor", Means("cpu")))
    return rungs
