"""Learning to segment: soft Dice and cross-entropy on crops, Dice of whole cases to choose by."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from monai.losses.dice import DiceLoss
from monai.networks.utils import one_hot
from torch import Tensor
from torch.nn import functional

from MaskWhatMattersLib.datasets.device_scans import Patches
from MaskWhatMattersLib.datasets.image_cases import ImageCases, Split
from MaskWhatMattersLib.datasets.labels import UNKNOWN
from MaskWhatMattersLib.datasets.prepare_images import PreparedImages, prepare_labelled
from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.finetuning.config import FinetuneConfig
from MaskWhatMattersLib.finetuning.sampling import BalancedCrops
from MaskWhatMattersLib.finetuning.segmentation_network import (
    ARCHITECTURE,
    SegmentationNetworkConfig,
    make_segmentation_network,
)
from MaskWhatMattersLib.finetuning.tasks import CardParts
from MaskWhatMattersLib.finetuning.windows import probabilities, with_channels
from MaskWhatMattersLib.models import Label
from MaskWhatMattersLib.progress import Progress
from MaskWhatMattersLib.training.step_losses import Losses

_OVERLAP = 0.25  # of windows in validation; prediction takes more


class SegmentationTask:
    """Network, images and measures of a segmentation; see `finetuning.tasks.Task`.

    Classes are the values that the label maps hold. Voxels that nobody has decided about (255 beside other labels, and
    what a crop shows beyond its image) count nowhere.

    Attributes:
        metric: "dice", the mean over cases of the mean over their labels, never of the background.
        network: UNETR or residual U-Net.

    Raises:
        InputError: Cases without a label map, or label maps without any label; images that cannot be used.
    """

    metric = "dice"

    def __init__(self, config: FinetuneConfig, cases: ImageCases, device: torch.device, progress: Progress) -> None:
        _require_label_maps(cases)
        images = prepare_labelled(cases, config.preprocessing, progress, unknown=UNKNOWN)
        values = (0, *images.labels())
        if len(values) < 2:
            raise InputError(
                f"There is nothing to learn: the label maps of all {len(cases.cases)} cases are empty. Choose label "
                "maps with a value above 0 where something is drawn."
            )
        self._config, self._device = config, device
        self._names = cases.label_names
        self._network_config = SegmentationNetworkConfig(
            encoder=config.encoder, values=values, features=config.head.features
        )
        images = with_classes(images, values)
        self._images: dict[Split, PreparedImages] = {
            split: images.of(split) for split in ("train", "val", "test") if cases.of(split)
        }
        _tell_of_unlearned(self._images, values, progress)
        self._crops = BalancedCrops(self._images["train"], config.size, device)
        self._dice = DiceLoss(include_background=False, batch=True)
        self.network = make_segmentation_network(self._network_config).to(device)

    def batch(self, seed: int) -> Patches:
        """Crops, half of them from around labels; a pure function of the seed."""
        return self._crops.batch(self._config.batch_size, self._config.augment, seed)

    def loss(self, batch: Patches) -> Losses:
        """Soft Dice of the labels over the whole batch, and cross-entropy of all classes (DiceCE)."""
        images, labels = batch
        logits = self.network(with_channels(images, self._config.encoder.in_channels)).float()
        known = (labels != UNKNOWN)[:, None]
        truth = one_hot(torch.where(known, labels[:, None], 0), len(self._network_config.values), dtype=logits.dtype)
        dice = self._dice(logits.softmax(1) * known, truth * known)
        # The mean over known voxels, without asking the device how many there are.
        each = functional.cross_entropy(logits, labels, ignore_index=UNKNOWN, reduction="none")
        cross_entropy = each.sum() / known.sum().clamp(min=1)
        return Losses(dice + cross_entropy, {"dice_loss": dice.detach(), "cross_entropy": cross_entropy.detach()})

    def evaluate(self, split: Split, progress: Progress) -> dict[str, float]:
        """Dice on whole cases, at the resolution that the network sees; slices of a volume are one case.

        Returns:
            "dice" as in `metric`, and "dice_" with the value of the label for each one where there are several: the
            mean over the cases that have it or were said to.
        """
        images = self._images[split]
        cases = slices_by_case(images)
        progress.stage("Measuring Dice", total=len(cases))
        scores = []
        for indices in cases:
            scores.append(_dice(torch.stack([self._counts(images, index, progress) for index in indices]).sum(0)))
            progress.step()
        return _summary(torch.stack(scores), self._network_config.values[1:])

    def card_parts(self) -> CardParts:
        """For the card of the model; the labels carry the values of the label maps."""
        labels = tuple(
            Label(value=value, name=self._names.get(value, f"label {value}"))
            for value in self._network_config.values[1:]
        )
        return CardParts(ARCHITECTURE, self._network_config.model_dump(mode="json"), labels)

    def _counts(self, images: PreparedImages, index: int, progress: Progress) -> Tensor:
        """Voxels in common, predicted and true of every class of one image, [3, K]."""
        marks = images.marks[index]
        assert marks is not None  # _require_label_maps
        predicted = probabilities(
            self.network,
            images.images[index][None].to(self._device),
            self._config.size,
            channels=self._config.encoder.in_channels,
            overlap=_OVERLAP,
            progress=progress,
        )
        truth = marks.to(self._device)
        classes = torch.arange(len(predicted), device=self._device).reshape(-1, *[1] * truth.ndim)
        chosen = (predicted[:, 0].argmax(0) == classes) & (truth != UNKNOWN)
        is_true = truth == classes
        return torch.stack([mask.flatten(1).sum(1) for mask in (chosen & is_true, chosen, is_true)])


def with_classes(images: PreparedImages, values: Sequence[int]) -> PreparedImages:
    """The same images with the place in `values` instead of the value itself; `UNKNOWN` stays."""
    table = torch.zeros(256, dtype=torch.uint8)
    table[UNKNOWN] = UNKNOWN
    for place, value in enumerate(values):
        table[value] = place
    return replace(images, marks=tuple(None if marks is None else table[marks.long()] for marks in images.marks))


def slices_by_case(images: PreparedImages) -> list[list[int]]:
    """Which images belong to the same case, in order."""
    found: dict[str, list[int]] = {}
    for index, case in enumerate(images.cases):
        found.setdefault(case.name, []).append(index)
    return list(found.values())


def _dice(counts: Tensor) -> Tensor:
    """Dice of each label without the background; NaN where there is none and none was said to be; [K - 1]."""
    common, predicted, true = counts[:, 1:].double()
    dice: Tensor = 2 * common / (predicted + true)
    return dice


def _summary(scores: Tensor, values: Sequence[int]) -> dict[str, float]:
    """Mean over labels in each case, then over cases; scores [cases, K - 1]."""
    of_cases = [float(score) for score in scores.nanmean(dim=1)]
    known = [score for score in of_cases if not math.isnan(score)]
    answer = {"dice": sum(known) / len(known) if known else math.nan}
    if len(values) > 1:
        answer |= {f"dice_{value}": float(score) for value, score in zip(values, scores.nanmean(dim=0), strict=True)}
    return answer


def _require_label_maps(cases: ImageCases) -> None:
    """Refuse cases without a label map, all named together.

    Raises:
        InputError: There are some, or nobody is learned from.
    """
    without = [case.name for case in cases.cases if case.label_map is None]
    if without:
        shown = ", ".join(without[:5]) + (", ..." if len(without) > 5 else "")
        raise InputError(
            f"{len(without)} of {len(cases.cases)} cases have no label map: {shown}. Give each a label map of the same "
            "name, or leave these cases out."
        )
    if not cases.of("train"):
        raise InputError("There is no case to learn from; all are for validation or test. Give cases for training.")


def _tell_of_unlearned(images: Mapping[Split, PreparedImages], values: Sequence[int], progress: Progress) -> None:
    """Log labels that only cases have which nothing is learned from: their Dice will be 0."""
    learned = images["train"].labels()
    unlearned = [str(value) for place, value in enumerate(values) if place and place not in learned]
    if unlearned:
        progress.log(
            f"No case for training has the label {', '.join(unlearned)}; it counts in the Dice and cannot be found."
        )
