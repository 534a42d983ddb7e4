"""Classification: one class per image, from the mean of the encoder's features."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple, cast

import numpy as np
import torch
from monai.data.utils import dense_patch_slices
from torch import Tensor, nn
from torch.nn import functional

from MaskWhatMattersLib.datasets.cases import joined
from MaskWhatMattersLib.datasets.choice import choose
from MaskWhatMattersLib.datasets.device_scans import DeviceScans
from MaskWhatMattersLib.datasets.image_cases import ImageCases, Split
from MaskWhatMattersLib.datasets.prepare_images import PreparedImages, prepare_labelled
from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.evaluation.classification import classification_scores
from MaskWhatMattersLib.finetuning.config import FinetuneConfig
from MaskWhatMattersLib.finetuning.tasks import CardParts
from MaskWhatMattersLib.finetuning.windows import standardized, with_channels
from MaskWhatMattersLib.models import Label
from MaskWhatMattersLib.networks.encoders import EncoderConfig, make_encoder
from MaskWhatMattersLib.networks.pooling import pooled_features, pooled_width
from MaskWhatMattersLib.progress import Progress
from MaskWhatMattersLib.training.step_losses import Losses

ARCHITECTURE = "classifier"
"""Of the model card of a `Classifier`; its `config` holds "encoder" and "classes"."""
_WINDOWS = 16  # at once


class Classifier(nn.Module):
    """An encoder, the mean of its features, and one linear layer.

    Args:
        config: Of the encoder.
        classes: How many.
        dropout: Of the mean features, while training.
    """

    def __init__(self, config: EncoderConfig, classes: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.encoder = make_encoder(config)
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(pooled_width(config), classes))

    def forward(self, images: Tensor) -> Tensor:
        """Logits [B, classes] of images [B, C, *spatial]."""
        return cast(Tensor, self.head(pooled_features(self.encoder, images)))


class ClassBatch(NamedTuple):
    """Crops and the classes of their images.

    Attributes:
        images: z-scored intensity, float32 [B, 1, *spatial].
        classes: Index of the class, long [B].
    """

    images: Tensor
    classes: Tensor


class ClassificationTask:
    """A `Task`. In 2D the slices of a volume share its class, and the volume gets the mean of their probabilities.

    Raises:
        InputError: Images that cannot be used, without a class, or of a class that is not learned; lists all.
    """

    def __init__(self, config: FinetuneConfig, cases: ImageCases, device: torch.device, progress: Progress) -> None:
        self._config = config
        self.class_names = _class_names(cases)
        # A validation split of one class cannot rank images; how many are right can still be told.
        self.metric = "auroc" if len({case.class_name for case in cases.of("val")}) > 1 else "accuracy"
        without_maps = [replace(case, label_map=None) for case in cases.cases]
        prepared = prepare_labelled(without_maps, config.preprocessing, progress)
        self._splits = {split: _Images(prepared.of(split), self.class_names, device) for split in _splits(cases)}
        dropout = config.head.dropout
        self.network = Classifier(config.encoder, len(self.class_names), dropout).to(device)

    def batch(self, seed: int) -> ClassBatch:
        """Crops of images of the training split, all images equally likely."""
        images = self._splits["train"]
        generator = torch.Generator().manual_seed(seed)
        # A seed of its own: with the batch's, one random number would choose an image and how it is turned.
        of_crops = int(torch.randint(2**62, (1,), generator=generator))
        chosen = choose(len(images.scans), self._config.batch_size, generator)
        crops = images.scans.patches(chosen, self._config.size, self._config.augment, of_crops)
        classes = images.classes.index_select(0, torch.tensor(chosen).to(images.classes.device, non_blocking=True))
        return ClassBatch(with_channels(crops.images, self._config.encoder.in_channels), classes)

    def loss(self, batch: ClassBatch) -> Losses:
        """Cross-entropy, and the share of the batch that is right."""
        logits = self.network(batch.images)
        loss = functional.cross_entropy(logits, batch.classes, label_smoothing=self._config.head.label_smoothing)
        right = (logits.detach().argmax(1) == batch.classes).float().mean()
        return Losses(loss, {"batch_accuracy": right})

    def evaluate(self, split: Split, progress: Progress) -> dict[str, float]:
        """Accuracy, AUROC, AUPRC and F1 over the cases of a split; see `classification_scores`."""
        images = self._splits.get(split)
        if images is None:
            return classification_scores(np.zeros((0, len(self.class_names))), np.zeros(0, dtype=int))
        progress.stage(f"Classifying the images of the split {split}", total=len(images.scans))
        found: dict[str, list[Tensor]] = {}
        for indices in torch.arange(len(images.scans)).split(_WINDOWS):
            windows = [torch.cat(list(_windows(images.scans, index, self._config.size))) for index in indices.tolist()]
            parts = with_channels(torch.cat(windows), self._config.encoder.in_channels).split(_WINDOWS)
            answers = torch.cat([self.network(part).float().softmax(1) for part in parts])
            for index, own in zip(indices.tolist(), answers.split([len(each) for each in windows]), strict=True):
                found.setdefault(images.case_names[index], []).append(own.mean(0))
                progress.step()
        probabilities = torch.stack([torch.stack(each).mean(0) for each in found.values()]).cpu().numpy()
        return classification_scores(probabilities, np.array([images.class_of[name] for name in found]))

    def card_parts(self) -> CardParts:
        """For the card of the model."""
        labels = tuple(Label(value=index, name=name) for index, name in enumerate(self.class_names))
        encoder = self._config.encoder.model_dump(mode="json")
        return CardParts(ARCHITECTURE, {"encoder": encoder, "classes": len(labels)}, labels)


class _Images:
    """Images of one split on the device, with their classes."""

    def __init__(self, prepared: PreparedImages, class_names: Sequence[str], device: torch.device) -> None:
        self.scans = prepared.device_scans(device)
        self.case_names = [case.name for case in prepared.cases]
        self.class_of = {case.name: class_names.index(str(case.class_name)) for case in prepared.cases}
        self.classes = torch.tensor([self.class_of[name] for name in self.case_names], device=device)


def _windows(scans: DeviceScans, index: int, size: Sequence[int]) -> Iterator[Tensor]:
    """Boxes [1, 1, *size] that cover an image, with as little overlap as can be; a smaller image is padded."""
    image = standardized(scans.scans[index][None])[0, 0]
    around: list[int] = []
    for side, wanted in zip(reversed(image.shape), reversed(size), strict=True):
        missing = max(0, wanted - side)
        around += [missing // 2, missing - missing // 2]
    image = functional.pad(image, around)
    for box in dense_patch_slices(image.shape, size, size):
        yield image[box][None, None]


def _splits(cases: ImageCases) -> Iterator[Split]:
    splits: tuple[Split, ...] = ("train", "val", "test")
    yield from (split for split in splits if cases.of(split))


def _class_names(cases: ImageCases) -> tuple[str, ...]:
    """Classes of the training split, sorted.

    Raises:
        InputError: Images without a class, fewer than two classes, or a class that is only validated or tested.
    """
    nameless = [case.name for case in cases.cases if case.class_name is None]
    learned = sorted({case.class_name for case in cases.of("train") if case.class_name is not None})
    problems = []
    if nameless:
        problems.append(
            f"{len(nameless)} of {len(cases.cases)} images have no class: {', '.join(nameless)}. Name their classes, "
            "or leave them out."
        )
    if len(learned) < 2:
        found = ", ".join(learned) or "none"
        problems.append(
            f"Classification needs images of at least two classes to learn from; found {found}. Sort the images into "
            "one folder per class, or name the classes in the column label of a manifest."
        )
    others = sorted(set(cases.classes) - set(learned))
    if learned and others:
        problems.append(
            f"These classes are validated or tested, and no image of them is learned from: {', '.join(others)}. Add "
            "images to the training split, or leave these classes out."
        )
    if problems:
        raise InputError(joined(problems))
    return tuple(learned)
