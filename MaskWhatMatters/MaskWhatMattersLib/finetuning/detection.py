"""Learning to find objects in pictures, each with its outline; average precision to choose by."""

from __future__ import annotations

from dataclasses import replace

import torch
from pydantic import ValidationError
from scipy import ndimage
from torch import Tensor

from MaskWhatMattersLib.datasets.device_scans import Patches
from MaskWhatMattersLib.datasets.image_cases import ImageCases, Split
from MaskWhatMattersLib.datasets.prepare_images import PreparedImages, prepare_labelled
from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.evaluation.instances import are_boxes, average_precision
from MaskWhatMattersLib.finetuning.config import FinetuneConfig
from MaskWhatMattersLib.finetuning.detection_network import (
    ARCHITECTURE,
    DetectionNetworkConfig,
    find_instances,
    make_detection_network,
)
from MaskWhatMattersLib.finetuning.sampling import BalancedCrops
from MaskWhatMattersLib.finetuning.tasks import CardParts
from MaskWhatMattersLib.finetuning.windows import with_channels
from MaskWhatMattersLib.models import Label
from MaskWhatMattersLib.networks.mask2former import SetLoss
from MaskWhatMattersLib.progress import Progress
from MaskWhatMattersLib.training.step_losses import Losses

_MOST_OBJECTS = 254


class DetectionTask:
    """Network, images and measures of a detection with outlines; see `finetuning.tasks.Task`.

    There is one kind of object. Label maps number the objects of an image, 1..n; where no label map has a number above
    1, connected pieces are the objects. Objects known by boxes alone are drawn as filled boxes: then boxes are learned
    as outlines, and outlines are not measured. An image without a label map has no object.

    Attributes:
        metric: "box_ap", from IoU 0.50 to 0.95; the box is the tightest around an outline.
        network: Mask2Former on the encoder.

    Raises:
        InputError: Images that cannot be used, or no object to learn from.
    """

    metric = "box_ap"

    def __init__(self, config: FinetuneConfig, cases: ImageCases, device: torch.device, progress: Progress) -> None:
        if not cases.of("train"):
            raise InputError("There is no case to learn from; all are for validation or test. Give cases for training.")
        images = numbered(prepare_labelled(cases, config.preprocessing, progress), progress)
        self._config, self._device = config, device
        self._names = tuple(cases.label_names.values())
        self._network_config = _network_config(config)
        self._images: dict[Split, PreparedImages] = {
            split: images.of(split) for split in ("train", "val", "test") if cases.of(split)
        }
        train = self._images["train"]
        highest = max((int(marks.max()) for marks in train.marks if marks is not None), default=0)
        if not highest:
            raise InputError(
                f"There is nothing to learn: no object is marked in the {len(train)} images for training. Give label "
                "maps with the objects numbered 1..n, or COCO annotations."
            )
        _tell(self._images, config.head.queries, progress)
        self._numbers = torch.arange(1, highest + 1, device=device)[:, None, None]
        self._crops = BalancedCrops(train, config.size, device, each_label=False)
        self.network = make_detection_network(self._network_config).to(device)
        self._set_loss = SetLoss(self.network, config.size)

    def batch(self, seed: int) -> Patches:
        """Crops, half of them from around objects; a pure function of the seed."""
        return self._crops.batch(self._config.batch_size, self._config.augment, seed)

    def loss(self, batch: Patches) -> Losses:
        """The published loss; see `SetLoss`. The host waits for the device."""
        images, labels = batch
        answers = self.network(with_channels(images, self._config.encoder.in_channels))
        objects = labels[:, None] == self._numbers
        present = objects.flatten(2).any(2).cpu()
        masks = [
            each[there.nonzero()[:, 0].to(each.device)].float() for each, there in zip(objects, present, strict=True)
        ]
        classes = [torch.zeros(len(each), dtype=torch.long, device=each.device) for each in masks]
        return self._set_loss(answers, masks, classes)

    def evaluate(self, split: Split, progress: Progress) -> dict[str, float]:
        """Average precision on whole pictures, at the resolution that the network sees.

        Returns:
            As `average_precision`.
        """
        images = self._images[split]
        progress.stage("Measuring average precision", total=len(images))
        found, truth = [], []
        for image, marks in zip(images.images, images.marks, strict=True):
            found.append(find_instances(self.network, image.to(self._device), self._config.encoder.in_channels))
            truth.append((torch.zeros_like(image) if marks is None else marks).numpy())
            progress.step()
        return average_precision(found, truth)

    def card_parts(self) -> CardParts:
        """For the card of the model."""
        name = self._names[0] if len(self._names) == 1 else "object"
        config = self._network_config.model_dump(mode="json")
        return CardParts(ARCHITECTURE, config, (Label(value=1, name=name),))


def numbered(images: PreparedImages, progress: Progress) -> PreparedImages:
    """Objects as 1..n in each image.

    Where no label map has a number above 1, the connected pieces of each are its objects.

    Raises:
        InputError: More pieces than can be counted in a byte.
    """
    known = [marks for marks in images.marks if marks is not None]
    if any(int(marks.max()) > 1 for marks in known):
        return images
    pieces = [None if marks is None else _pieces(marks) for marks in images.marks]
    if any(piece is not None and int(piece.max()) > 1 for piece in pieces):
        progress.log("No label map has a number above 1, so each connected piece is taken for an object of its own.")
    crowded = [
        name
        for name, piece in zip(images.names, pieces, strict=True)
        if piece is not None and int(piece.max()) > _MOST_OBJECTS
    ]
    if crowded:
        raise InputError(
            f"More than {_MOST_OBJECTS} objects in {', '.join(crowded[:5])}: each connected piece of a label map is "
            "taken for one. Remove specks from the label maps, or number the objects 1..n."
        )
    return replace(images, marks=tuple(None if piece is None else piece.to(torch.uint8) for piece in pieces))


def _pieces(marks: Tensor) -> Tensor:
    labelled, _ = ndimage.label(marks.numpy(), structure=[[1] * 3] * 3)
    return torch.from_numpy(labelled)


def _network_config(config: FinetuneConfig) -> DetectionNetworkConfig:
    head = config.head
    try:
        return DetectionNetworkConfig(
            encoder=config.encoder,
            queries=head.queries,
            query_features=head.query_features,
            decoder_layers=head.decoder_layers,
        )
    except ValidationError as error:
        problems = "; ".join(f"head.{each['loc'][-1]}: {each['msg']}" for each in error.errors(include_url=False))
        raise InputError(f"These settings make no detector: {problems}.") from error


def _tell(images: dict[Split, PreparedImages], queries: int, progress: Progress) -> None:
    """Log what the person should know about the objects."""
    train = [marks.numpy() for marks in images["train"].marks if marks is not None]
    if are_boxes(train):
        progress.log(
            "The objects are drawn as boxes, not outlines: the boxes are learned as outlines, and only boxes are "
            "measured (BoxAP)."
        )
    most = max(len(torch.unique(torch.from_numpy(marks))) - 1 for marks in train)
    if most > queries:
        progress.log(f"An image has {most} objects, and at most {queries} can be found: raise queries.")
    if "val" in images and not any(marks is not None and marks.any() for marks in images["val"].marks):
        progress.log("No image for validation has an object, so no step can be chosen by its precision.")
