"""Episodes of MASS: two views of one scan, with masks that are known in both (arXiv 2603.13660, pretraining)."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from MaskWhatMattersLib.mass.episode_augment import interpolated, nearest, places, random_motion, recoloured
from MaskWhatMattersLib.mass.pretrain_config import MassPretrainConfig, ViewConfig
from MaskWhatMattersLib.mass.pretrain_scans import PretrainScan, PretrainScans
from MaskWhatMattersLib.training.seeds import step_seed

_PICTURE = 1  # stream of random numbers beside that of the steps

_LAST_RESORT = -1e4
"""Added to a score between about -20 and 20; small enough that the order below it stays random."""


class Episodes(NamedTuple):
    """A batch; every part has one row per episode.

    Attributes:
        query: z-scored, float32 [B, 1, S, S, S].
        reference: z-scored, float32 [B, 1, S, S, S].
        reference_masks: bool [B, K, S, S, S].
        query_masks: What is to be found, bool [B, K, S, S, S].
        counted: False for masks that the reference does not show, which teach nothing, bool [B, K].
    """

    query: Tensor
    reference: Tensor
    reference_masks: Tensor
    query_masks: Tensor
    counted: Tensor


class EpisodeDrawer:
    """Draws batches, each a pure function of settings, process and step, without waiting for the device.

    Args:
        config: Settings.
        scans: Scans with their proposals.
        rank: Of this process.
    """

    def __init__(self, config: MassPretrainConfig, scans: PretrainScans, rank: int = 0) -> None:
        self.config, self.scans = config, scans
        self._rank = rank

    def batch(self, step: int) -> Episodes:
        """The episodes of a step."""
        return self._draw(step_seed(self.config.seed, self._rank, step), self.config.batch_size, None)

    def picture(self) -> Episodes:
        """One episode that stays the same throughout the training."""
        return self._draw(step_seed(self.config.seed, 0, 0, _PICTURE), 1, self.config.labels)

    def _draw(self, seed: int, count: int, labels: int | None) -> Episodes:
        generator = torch.Generator().manual_seed(seed)
        noise_source = torch.Generator(self.scans.device).manual_seed(seed)
        labels = labels or self._labels(generator)
        chosen = torch.multinomial(self.scans.weights, count, replacement=True, generator=generator).tolist()
        drawn = [self._episode(self.scans[index], labels, generator, noise_source) for index in chosen]
        return Episodes(*(torch.stack(part) for part in zip(*drawn, strict=True)))

    def _labels(self, generator: torch.Generator) -> int:
        """Masks in each episode of a step: all in half of the steps, so that a task of one label is known, too."""
        few = int(torch.randint(1, self.config.labels + 1, (1,), generator=generator))
        return few if float(torch.rand(1, generator=generator)) < self.config.fewer else self.config.labels

    def _episode(
        self, scan: PretrainScan, labels: int, generator: torch.Generator, noise_source: torch.Generator
    ) -> Episodes:
        """One episode, without the first dimension."""
        config = self.config
        views = [
            self._view(scan, centre, view, generator, noise_source)
            for centre, view in zip(self._centres(scan, generator), (config.reference, config.query), strict=True)
        ]
        (reference, reference_labels), (query, query_labels) = views
        counts = [scan.counts(each) for each in (reference_labels, query_labels)]
        indices = self._chosen(scan, counts[0], counts[1], labels, generator, noise_source)
        masks = [scan.masks(each, indices) for each in (reference_labels, query_labels)]
        counted = counts[0][indices] > 0
        if float(torch.rand(1, generator=generator)) < config.whole_field:
            for each in masks:
                each[0] = True
            counted[0] = True
        return Episodes(query[None], reference[None], masks[0], masks[1], counted)

    def _view(
        self,
        scan: PretrainScan,
        centre: list[float],
        view: ViewConfig,
        generator: torch.Generator,
        noise_source: torch.Generator,
    ) -> tuple[Tensor, Tensor]:
        """A crop, [S, S, S], and its labels of every level, [L, S, S, S]."""
        at = torch.tensor(centre).to(self.scans.device, non_blocking=True)
        where = places(random_motion(view, generator), at, self.config.crop)
        image = interpolated(scan.grey, scan.mean, where) / scan.deviation
        return recoloured(image, view, generator, noise_source), nearest(scan.levels, where)

    def _centres(self, scan: PretrainScan, generator: torch.Generator) -> list[list[float]]:
        """Centres of the two crops, (k, j, i); the first holds a place of a random proposal."""
        size, reach = self.config.crop, math.floor((1 - self.config.overlap) * self.config.crop)
        bounds = scan.bounds[int(torch.multinomial(scan.host_weights, 1, generator=generator))]
        centres: list[list[float]] = [[], []]
        for axis, side in enumerate(scan.grey.shape):
            lowest, highest = min(0, side - size), max(0, side - size)
            place = _integer(int(bounds[axis]), int(bounds[axis + 3]) - 1, generator)
            first = min(max(place - _integer(0, size - 1, generator), lowest), highest)
            second = _integer(max(lowest, first - reach), min(highest, first + reach), generator)
            for centre, start in zip(centres, (first, second), strict=True):
                centre.append(start + (size - 1) / 2)
        return centres

    def _chosen(
        self,
        scan: PretrainScan,
        in_reference: Tensor,
        in_query: Tensor,
        labels: int,
        generator: torch.Generator,
        noise_source: torch.Generator,
    ) -> Tensor:
        """Proposals of an episode, [K]: those in both crops, and some that are not in the query.

        Where there are not enough, those that the reference shows, at last any.
        """
        absent = int((torch.rand(labels, generator=generator) < self.config.absent).sum())
        draw = torch.rand(len(in_reference), generator=noise_source, device=in_reference.device)
        score = scan.weights.log() - (-(draw.clamp(1e-7, 1 - 1e-7)).log()).log()  # Gumbel: without replacement
        shown = in_reference >= self.config.least_voxels
        both = shown & (in_query >= self.config.least_voxels)
        only_there = shown & (in_query == 0)
        dropped = torch.topk(score.where(only_there, score + _LAST_RESORT), absent).indices
        score = score.where(both, score + 0.5 * _LAST_RESORT).where(shown, score + _LAST_RESORT)
        score[dropped] = 4 * _LAST_RESORT
        return torch.cat([torch.topk(score, labels - absent).indices, dropped])


def _integer(low: int, high: int, generator: torch.Generator) -> int:
    """A whole number from `low` to `high`, both included."""
    return low + int(torch.randint(high - low + 1, (1,), generator=generator))
