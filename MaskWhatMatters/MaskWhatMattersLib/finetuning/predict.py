"""Apply a finetuned segmenter to an image of any geometry; the result lies on the image's own voxels."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from MaskWhatMattersLib.datasets.image_grid import prepare_image
from MaskWhatMattersLib.finetuning.card_preprocessing import CardPreprocessing, model_in
from MaskWhatMattersLib.finetuning.result import FinetunedSegmentation as FinetunedSegmentation
from MaskWhatMattersLib.finetuning.segmentation_network import (
    ARCHITECTURE,
    SegmentationNetworkConfig,
    make_segmentation_network,
)
from MaskWhatMattersLib.finetuning.windows import probabilities
from MaskWhatMattersLib.models import ModelCard
from MaskWhatMattersLib.models.networks import read_network
from MaskWhatMattersLib.networks.devices import torch_device
from MaskWhatMattersLib.progress import Progress, SilentProgress
from MaskWhatMattersLib.volumes import Volume, to_source


class FinetunedSegmenter:
    """A finetuned segmentation network, kept ready for any number of images. Make it with `load`.

    Attributes:
        card: Of the model.
        preprocessing: How images are prepared for it.
        device: Where it runs.
    """

    def __init__(
        self,
        network: nn.Module,
        config: SegmentationNetworkConfig,
        preprocessing: CardPreprocessing,
        card: ModelCard,
        device: torch.device,
    ) -> None:
        self.network = network.to(device).eval()
        self.config = config
        self.preprocessing = preprocessing
        self.card = card
        self.device = device

    @classmethod
    def load(cls, model: str | Path, device: str = "auto") -> Self:
        """A model by name, file or folder of its training.

        Raises:
            ModelFileError: Not found, damaged, or no segmentation model; lists what does not fit.
            InputError: No such device.
        """
        chosen = torch_device(device)
        network, preprocessing, card = read_network(
            model_in(model), ARCHITECTURE, SegmentationNetworkConfig, CardPreprocessing, make_segmentation_network
        )
        config = SegmentationNetworkConfig.model_validate(card.config)
        return cls(network, config, preprocessing, card, chosen)

    @property
    def name(self) -> str:
        """Name and version of the model."""
        return f"{self.card.name} {self.card.version}"

    @property
    def values(self) -> tuple[int, ...]:
        """Values in the label map, in the order of `each_class`; the background first."""
        return self.config.values

    @property
    def names(self) -> dict[int, str]:
        """What the values in the label map mean."""
        known = {label.value: label.name for label in self.card.labels}
        return {value: known.get(value, f"label {value}") for value in self.config.values[1:]}

    def segment(
        self, volume: Volume, *, keep_probabilities: bool = False, progress: Progress | None = None
    ) -> FinetunedSegmentation:
        """Segment one image; a model for pictures goes through a volume axial slice by axial slice.

        Args:
            volume: Scalar image, any orientation and spacing, oblique included.
            keep_probabilities: Return them, too: 4 bytes per voxel and class.
            progress: Told of the stage; may stop the work before each pass of the network.

        Raises:
            InputError: The image cannot be used; the message says why.
            GeometryError: A single slice for a model of volumes.
        """
        started = time.perf_counter()
        label_map = np.zeros(volume.spatial_shape, np.uint8)
        best = np.full(volume.spatial_shape, -1.0, np.float32)
        kept = []
        for value, probability in zip(self.config.values, self.each_class(volume, progress), strict=True):
            is_better = probability > best
            label_map[is_better] = value
            best[is_better] = probability[is_better]
            if keep_probabilities:
                kept.append(probability)
        return FinetunedSegmentation(
            label_map=volume.with_array(label_map[None]),
            probabilities=volume.with_array(np.stack(kept)) if keep_probabilities else None,
            names=self.names,
            model=self.name,
            seconds=time.perf_counter() - started,
            research_only=self.card.research_only,
        )

    def each_class(self, volume: Volume, progress: Progress | None = None) -> Iterator[NDArray[np.float32]]:
        """Probability of one class after the other on the image's own voxels, [D, H, W]; the background first.

        Raises:
            InputError: The image cannot be used; the message says why.
            GeometryError: A single slice for a model of volumes.
        """
        progress = progress or SilentProgress()
        progress.stage("Segmenting")
        prepared = prepare_image(volume, self.preprocessing.image)
        found = self._probabilities(torch.from_numpy(prepared.array[0]), progress).cpu().numpy()
        for of_class in found:
            progress.step(0)
            yield to_source(prepared.with_array(of_class[None]), volume)

    @torch.inference_mode()
    def _probabilities(self, grey: Tensor, progress: Progress) -> Tensor:
        """Of each class on the prepared grid, [K, D, H, W]."""
        is_volume = self.preprocessing.image.spatial_dims == 3
        answer = probabilities(
            self.network,
            (grey[None] if is_volume else grey).to(self.device),
            self.preprocessing.size,
            channels=self.config.encoder.in_channels,
            progress=progress,
        )
        return answer[:, 0] if is_volume else answer
