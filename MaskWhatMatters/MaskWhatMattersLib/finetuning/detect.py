"""Apply a finetuned detector to a picture, or to a volume slice by slice."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray

from MaskWhatMattersLib.datasets.image_grid import back_to_source, prepare_image
from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.evaluation.instances import FoundInstances, box_of
from MaskWhatMattersLib.finetuning.card_preprocessing import CardPreprocessing, model_in
from MaskWhatMattersLib.finetuning.detection_network import (
    ARCHITECTURE,
    DetectionNetworkConfig,
    find_instances,
    make_detection_network,
)
from MaskWhatMattersLib.finetuning.result import DetectedObject, FinetunedDetection
from MaskWhatMattersLib.models import ModelCard
from MaskWhatMattersLib.models.networks import read_network
from MaskWhatMattersLib.networks.devices import torch_device
from MaskWhatMattersLib.networks.mask2former import Mask2FormerNetwork
from MaskWhatMattersLib.progress import Progress, SilentProgress
from MaskWhatMattersLib.volumes import Volume

_LEAST_SCORE = 0.05
"""Objects that are less sure have no part in a relevance."""


@dataclass(frozen=True, eq=False)
class FinetunedDetector:
    """A finetuned detection network, kept ready for any number of images. Make it with `load`.

    Attributes:
        network: In eval mode on its device.
        preprocessing: How images are prepared for it.
        card: Of the model.
        device: Where it runs.
    """

    network: Mask2FormerNetwork
    preprocessing: CardPreprocessing
    card: ModelCard
    device: torch.device

    @classmethod
    def load(cls, model: str | Path, device: str = "auto") -> Self:
        """A model by name, file or folder of its training.

        Raises:
            ModelFileError: Not found, damaged, or no detection model; lists what does not fit.
            InputError: No such device.
        """
        chosen = torch_device(device)
        network, preprocessing, card = read_network(
            model_in(model), ARCHITECTURE, DetectionNetworkConfig, CardPreprocessing, make_detection_network
        )
        return cls(network.to(chosen).eval(), preprocessing, card, chosen)

    @property
    def name(self) -> str:
        """Name and version of the model."""
        return f"{self.card.name} {self.card.version}"

    @property
    def values(self) -> tuple[int, ...]:
        """What `each_class` tells apart: there is one kind of object."""
        return (1,)

    @property
    def names(self) -> dict[int, str]:
        """What an object is."""
        return {1: self.card.labels[0].name if self.card.labels else "object"}

    def each_class(self, volume: Volume, progress: Progress | None = None) -> Iterator[NDArray[np.float32]]:
        """For each voxel of the image, [D, H, W], the score of the object that it belongs to; 0 outside of all.

        Raises:
            InputError: The image cannot be used; the message says why.
        """
        found = self.detect(volume, min_score=_LEAST_SCORE, progress=progress)
        scores = np.zeros(len(found.objects) + 1, np.float32)
        for each in found.objects:
            scores[each.label] = each.score
        yield scores[found.label_map.array[0]]

    @torch.inference_mode()
    def detect(self, volume: Volume, *, min_score: float = 0.5, progress: Progress | None = None) -> FinetunedDetection:
        """Find objects; a thing that goes through several slices of a volume is one object in each.

        Args:
            volume: Scalar image, any orientation and spacing.
            min_score: Objects below are left out, above 0 and at most 1.
            progress: Told of each slice; may stop the work.

        Raises:
            InputError: The image or the score cannot be used; the message says why.
        """
        if not 0 < min_score <= 1:
            raise InputError(f"The lowest score must lie above 0 and at most at 1; found {min_score}. Use 0.5.")
        started = time.perf_counter()
        progress = progress or SilentProgress()
        prepared = prepare_image(volume, self.preprocessing.image)
        labels = np.zeros(prepared.spatial_shape, np.uint16)
        objects: list[DetectedObject] = []
        channels = self.network.encoder.config.in_channels  # type: ignore[union-attr]
        progress.stage("Looking at the slices", total=len(labels))
        for index, grey in enumerate(prepared.array[0]):
            found = find_instances(self.network, torch.from_numpy(grey).to(self.device), int(channels))  # type: ignore[arg-type]
            objects += _draw(labels[index], found, min_score, index, first=len(objects) + 1)
            progress.step()
        return FinetunedDetection(
            label_map=back_to_source(prepared.with_array(labels[None]), volume),
            objects=tuple(objects),
            name=self.names[1],
            model=self.name,
            seconds=time.perf_counter() - started,
            research_only=self.card.research_only,
        )


def _draw(
    labels: NDArray[np.uint16], found: FoundInstances, min_score: float, slice_index: int, first: int
) -> list[DetectedObject]:
    """Draw objects into a slice, the surest on top, and list them; one that others cover altogether is left out."""
    order = [
        int(place)
        for place in np.argsort(-found.scores, kind="stable")
        if found.scores[place] >= min_score and found.masks[place].any()
    ]
    objects: list[DetectedObject] = []
    for place in order:
        free = found.masks[place] & (labels == 0)
        if free.any():
            label = first + len(objects)
            labels[free] = label
            objects.append(DetectedObject(label, float(found.scores[place]), slice_index, box_of(found.masks[place])))
    return objects
