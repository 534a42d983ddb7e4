"""Batches of a pretraining: crops of prepared images with their hidden tokens, made on the training device."""

from __future__ import annotations

import torch

from MaskWhatMattersLib.datasets.device_scans import DeviceScans, Patches
from MaskWhatMattersLib.datasets.prepare_images import IN_REGION, VALID
from MaskWhatMattersLib.masking.draw import draw_mask
from MaskWhatMattersLib.masking.token_mask import TokenMask
from MaskWhatMattersLib.pretraining.batch import MaskedBatch, ViewsBatch
from MaskWhatMattersLib.pretraining.config import PretrainConfig
from MaskWhatMattersLib.training.seeds import step_seed

_MASKS, _SECOND_VIEW, _PICTURE = 1, 2, 3  # streams of random numbers beside the crops' own


class PretrainImages:
    """Draws batches, each a pure function of settings, process and step.

    Every image is seen once before any is seen again; processes share the images of a pass among them.

    Args:
        config: Settings.
        scans: Prepared images; their label maps are marks of `prepare_images`.
        rank: Of this process.
        processes: How many draw at the same time.
    """

    def __init__(self, config: PretrainConfig, scans: DeviceScans, rank: int = 0, processes: int = 1) -> None:
        self.config, self.scans = config, scans
        self._rank, self._processes = rank, processes
        self._pass = -1
        self._order: list[int] = []

    def batch(self, step: int) -> tuple[MaskedBatch | ViewsBatch, TokenMask | None]:
        """The batch of a step and its mask: two views and no mask for SimCLR."""
        indices = self.indices(step)
        if self.config.method == "simclr":
            views = [self._crops(indices, step, stream).images for stream in (0, _SECOND_VIEW)]
            return ViewsBatch(views[0], views[1]), None
        return self.masked(indices, step)

    def masked(self, indices: list[int], step: int) -> tuple[MaskedBatch, TokenMask]:
        """Crops of the images named, and what of them is hidden; the mask also tells its ratios."""
        crops = self._crops(indices, step, 0)
        guided = self.config.masking.kind == "relevance"
        mask = draw_mask(
            self.config.masking,
            self.config.grid,
            len(indices),
            seed=step_seed(self.config.seed, self._rank, step, _MASKS),
            device=self.scans.device,
            region=(crops.labels & IN_REGION).bool() if guided else None,
        )
        return MaskedBatch(crops.images, mask.hidden, (crops.labels & VALID).bool()), mask

    def picture_batch(self) -> MaskedBatch:
        """One image that stays the same throughout the training, for pictures."""
        return self.masked([0], -_PICTURE)[0]

    def indices(self, step: int) -> list[int]:
        """Which images the step of this process sees, [B]."""
        count, size = len(self.scans), self.config.batch_size
        first = (step * self._processes + self._rank) * size
        return [self._shuffled((first + place) // count)[(first + place) % count] for place in range(size)]

    def _shuffled(self, number: int) -> list[int]:
        """The order of a pass over the images."""
        if number != self._pass:
            generator = torch.Generator().manual_seed(step_seed(self.config.seed, 0, number))
            self._order = torch.randperm(len(self.scans), generator=generator).tolist()
            self._pass = number
        return self._order

    def _crops(self, indices: list[int], step: int, stream: int) -> Patches:
        seed = step_seed(self.config.seed, self._rank, step, stream)
        return self.scans.patches(indices, self.config.size, self.config.augment, seed, label_type=torch.uint8)
