"""What a finetuning can learn: one protocol, three tasks, each in its own module that is loaded when it is wanted."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import torch
from pydantic import JsonValue
from torch import nn

from MaskWhatMattersLib.datasets.image_cases import ImageCases, Split
from MaskWhatMattersLib.finetuning.config import FinetuneConfig
from MaskWhatMattersLib.models import Label
from MaskWhatMattersLib.progress import Progress
from MaskWhatMattersLib.training.step_losses import Losses


class CardParts(NamedTuple):
    """What the card of a finetuned model says about its network.

    Attributes:
        architecture: Its name.
        config: What builds it; holds the encoder's settings under "encoder".
        labels: What it tells apart.
    """

    architecture: str
    config: dict[str, JsonValue]
    labels: tuple[Label, ...]


class Task(Protocol):
    """Network, images and measures of one task; the loop knows no more than this."""

    @property
    def metric(self) -> str:
        """Name of the measure of `evaluate` whose best value on the validation split selects; higher is better."""
        ...

    @property
    def network(self) -> nn.Module:
        """On the device of the images; has `encoder`. Everything that learns is in it."""
        ...

    def batch(self, seed: int) -> Any:
        """The batch that belongs to a seed, a tuple of tensors on the device."""
        ...

    def loss(self, batch: Any) -> Losses:
        """Losses of a batch, by `network`."""
        ...

    def evaluate(self, split: Split, progress: Progress) -> dict[str, float]:
        """Measures on all images of a split; the loop has put `network` into eval mode and switched gradients off."""
        ...

    def card_parts(self) -> CardParts:
        """For the card of the model."""
        ...


def make_task(config: FinetuneConfig, cases: ImageCases, device: torch.device, progress: Progress) -> Task:
    """The task of the settings, its images read and prepared.

    Raises:
        InputError: Images or labels that cannot be used; lists all.
        JobCancelledError: The user asked to stop.
    """
    if config.task == "classification":
        from MaskWhatMattersLib.finetuning.classification import ClassificationTask

        return ClassificationTask(config, cases, device, progress)
    if config.task == "segmentation":
        from MaskWhatMattersLib.finetuning.segmentation import SegmentationTask

        return SegmentationTask(config, cases, device, progress)
    from MaskWhatMattersLib.finetuning.detection import DetectionTask

    return DetectionTask(config, cases, device, progress)
