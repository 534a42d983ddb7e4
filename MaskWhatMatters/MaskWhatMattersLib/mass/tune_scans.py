"""Labelled scans on the training device: random crops to learn from, whole scans to measure on."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from MaskWhatMattersLib.mass.episode_augment import interpolated, nearest, places, random_motion, recoloured
from MaskWhatMattersLib.mass.example import Example, TaskLabel
from MaskWhatMattersLib.mass.prepare import masks_on, prepare
from MaskWhatMattersLib.mass.preprocessing import MassPreprocessing
from MaskWhatMattersLib.mass.pretrain_config import ViewConfig
from MaskWhatMattersLib.mass.windows import blended, padded, windows_over
from MaskWhatMattersLib.progress import Progress, SilentProgress

_PLACES = 4096  # voxels of each label that crops may be centred on


class TuneScan(NamedTuple):
    """A case as the network sees it.

    Attributes:
        image: z-scored, float32 [D, H, W].
        masks: 0 and 1, uint8 [K, D, H, W].
        known: Which of the K labels are marked, [K]; what the others look like here, nobody knows.
        places: Voxels of each label, int64 [N, 3]; empty where it is not marked.
    """

    image: Tensor
    masks: Tensor
    known: NDArray[np.bool_]
    places: tuple[NDArray[np.int64], ...]


class TuneBatch(NamedTuple):
    """Crops and their masks.

    Attributes:
        images: z-scored, float32 [B, 1, S, S, S].
        masks: What is to be found, bool [B, K, S, S, S].
        counted: False for labels that are not marked in the scan, which teach nothing, bool [B, K].
    """

    images: Tensor
    masks: Tensor
    counted: Tensor


def tune_scan(
    example: Example, labels: Sequence[TaskLabel], preprocessing: MassPreprocessing, spacing_mm: float, seed: int
) -> TuneScan:
    """Prepare a case; on the processor.

    Args:
        example: Scan and masks.
        labels: The K labels of the task; the example may have others, and lack some.
        preprocessing: Of the model.
        spacing_mm: Of the task.
        seed: Of the choice of voxels among those of a label.

    Raises:
        InputError: The scan cannot be used.
    """
    prepared = prepare(example.image, preprocessing, spacing_mm)
    drawn = masks_on(prepared, example.masks)
    masks = np.zeros((len(labels), *drawn.shape[1:]), np.uint8)
    values = [label.value for label in example.labels]
    for place, label in enumerate(labels):
        if label.value in values:
            masks[place] = drawn[values.index(label.value)]
    random = np.random.default_rng(seed)
    found = [np.argwhere(mask) for mask in masks]
    chosen = tuple(each[random.permutation(len(each))[:_PLACES]] for each in found)
    known = np.array([len(each) > 0 for each in chosen], np.bool_)
    return TuneScan(torch.from_numpy(prepared.volume.array[0]), torch.from_numpy(masks), known, chosen)


class TuneScans:
    """Cases on one device.

    Args:
        scans: From `tune_scan`.
        window: Side of a crop, voxels.
        view: How crops change.
        foreground: Share of crops that are centred on a label, each label as often as any other.
        device: Where they live and crops are made.
    """

    def __init__(
        self, scans: Sequence[TuneScan], window: int, view: ViewConfig, foreground: float, device: torch.device
    ) -> None:
        self._window, self._view, self._foreground, self._device = window, view, foreground, device
        self._scans = [on_device(scan, device) for scan in scans]
        self._counted = [torch.from_numpy(scan.known).to(device) for scan in scans]

    def batch(self, count: int, seed: int) -> TuneBatch:
        """Random crops, a pure function of the arguments; nothing waits for the device."""
        random = np.random.default_rng(seed)
        generator = torch.Generator().manual_seed(seed)
        noise_source = torch.Generator(self._device).manual_seed(seed)
        images, masks, counted = [], [], []
        for index in random.integers(len(self._scans), size=count):
            scan = self._scans[index]
            centre = torch.tensor(self._centre(scan, random)).to(self._device, non_blocking=True)
            where = places(random_motion(self._view, generator), centre, self._window)
            images.append(recoloured(interpolated(scan.image, 0.0, where), self._view, generator, noise_source)[None])
            masks.append(nearest(scan.masks, where).bool())
            counted.append(self._counted[index])
        return TuneBatch(torch.stack(images), torch.stack(masks), torch.stack(counted))

    def _centre(self, scan: TuneScan, random: np.random.Generator) -> list[float]:
        """Of a crop, (k, j, i); the crop does not leave a scan that is larger."""
        known = np.flatnonzero(scan.known)
        wanted = [random.uniform(0, side - 1) for side in scan.image.shape]
        if random.random() < self._foreground and len(known):
            wanted = list(random.choice(scan.places[random.choice(known)]))
        centre = []
        for at, side in zip(wanted, scan.image.shape, strict=True):
            room = side - self._window
            start = -(-room // 2) if room < 0 else np.clip(round(at) - self._window // 2, 0, room)
            centre.append(float(start) + (self._window - 1) / 2)  # whole voxels where nothing moves
        return centre


def on_device(scan: TuneScan, device: torch.device) -> TuneScan:
    """The same scan with its voxels on a device."""
    return scan._replace(image=scan.image.to(device), masks=scan.masks.to(device))


def scan_dice(
    predict: Callable[[Tensor], Tensor], scan: TuneScan, window: int, overlap: float, progress: Progress
) -> list[float]:
    """Dice of each label in one whole scan, on the voxels that the network sees; NaN for labels that are not marked.

    A voxel belongs to the most probable label, from a probability of 0.5 on, as when a task is applied.

    Args:
        predict: Logits [B, K, D, H, W] of images [B, 1, D, H, W].
        scan: On its device.
        window: Side of a window, voxels.
        overlap: Of windows, as a share.
        progress: Asked before each window whether to stop.
    """
    image, inside = padded(scan.image, window)
    found = blended(
        lambda few: predict(few).float().sigmoid(),
        image,
        windows_over(image.shape, window, overlap),
        len(scan.masks),
        _OnlyStops(progress),
    )[(slice(None), *inside)]
    best, label = found.max(dim=0)
    label = torch.where(best >= 0.5, label, -1)
    scores = []
    for place, mask in enumerate(scan.masks.bool()):
        predicted = label == place
        both = torch.stack([(predicted & mask).sum(), predicted.sum(), mask.sum()]).tolist()
        scores.append(2 * both[0] / (both[1] + both[2]) if scan.known[place] else math.nan)
    return scores


class _OnlyStops(SilentProgress):
    """A progress that passes on requests to stop alone: the bar is that of the training."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def step(self, count: int = 1, message: str = "") -> None:
        """Stop if asked to."""
        self._progress.step(0)
