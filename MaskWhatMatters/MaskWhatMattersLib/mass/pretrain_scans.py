"""Scans with their proposals on one device, ready for episodes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from MaskWhatMattersLib.errors import InputError


@dataclass(frozen=True, eq=False)
class PretrainScan:
    """One scan and its N proposals, on one device.

    Attributes:
        grey: Clipped values, uint8 [D, H, W].
        mean: Of the grey values.
        deviation: Of the grey values.
        levels: Label volumes, int16 or int32 [L, D, H, W].
        level: Which label volume, int64 [N].
        first: Lowest label of a proposal, int64 [N].
        last: Highest label, included, int64 [N].
        starts: Where the labels of each level begin when those of all are numbered through, int64 [L].
        label_count: Labels of all levels together, and one beyond.
        weights: Chance of each proposal, float32 [N]; those of each size are as likely as those of any other.
        host_weights: The same on the processor.
        bounds: Lowest k, j, i and one beyond the highest, int [N, 6], on the processor.
    """

    grey: Tensor
    mean: float
    deviation: float
    levels: Tensor
    level: Tensor
    first: Tensor
    last: Tensor
    starts: Tensor
    label_count: int
    weights: Tensor
    host_weights: Tensor
    bounds: NDArray[np.int32]

    def counts(self, labels: Tensor) -> Tensor:
        """Voxels of every proposal in a crop, int64 [N].

        Args:
            labels: Of the crop in every level, [L, S, S, S].
        """
        numbers = (labels.flatten(1).long() + self.starts[:, None]).reshape(-1)
        found = torch.zeros(self.label_count + 1, dtype=torch.long, device=labels.device)
        found.scatter_add_(0, numbers + 1, torch.ones_like(found[:1]).expand(len(numbers)))
        below = found.cumsum(0)
        offset = self.starts[self.level]
        return below[self.last + offset + 1] - below[self.first + offset]

    def masks(self, labels: Tensor, indices: Tensor) -> Tensor:
        """Proposals in a crop, bool [K, S, S, S].

        Args:
            labels: Of the crop in every level, [L, S, S, S].
            indices: Which proposals, [K].
        """
        of_each = labels[self.level[indices]]
        shape = (-1, 1, 1, 1)
        return (of_each >= self.first[indices].view(shape)) & (of_each <= self.last[indices].view(shape))


class PretrainScans:
    """Scans on one device.

    On a processor they stay in their files, mapped into memory, so that there may be more than memory holds.

    Args:
        folders: Cache folder of each scan, from `prepare_scans`.
        sets: Which set each scan belongs to.
        labels: Masks per episode; a scan with fewer proposals repeats them.
        balance: See `MassPretrainConfig.balance`.
        device: Where episodes are made.

    Attributes:
        weights: Chance of each scan, float32 [scans], on the processor.
    """

    def __init__(
        self,
        folders: Sequence[Path],
        sets: Sequence[str],
        *,
        labels: int = 8,
        balance: float = 0.5,
        device: torch.device | str = "cpu",
    ) -> None:
        self.device = torch.device(device)
        self._scans = [_read(folder, labels, self.device) for folder in folders]
        sizes = Counter(sets)
        weights = torch.tensor([sizes[name] ** (balance - 1.0) for name in sets], dtype=torch.float32)
        self.weights = weights / weights.sum()

    def __len__(self) -> int:
        return len(self._scans)

    def __getitem__(self, index: int) -> PretrainScan:
        return self._scans[index]


def _read(folder: Path, labels: int, device: torch.device) -> PretrainScan:
    try:
        grey = torch.from_numpy(np.load(folder / "grey.npy", mmap_mode="c"))
        levels = torch.from_numpy(np.load(folder / "levels.npy", mmap_mode="c"))
        with np.load(folder / "proposals.npz") as stored:
            arrays = {name: stored[name] for name in stored.files}
    except (OSError, ValueError, EOFError, LookupError) as error:
        raise InputError(
            f"{folder} of the cache cannot be read ({error}). Remove that folder and start again."
        ) from error
    count = len(arrays["level"])
    repeated = np.tile(np.arange(count), math.ceil(labels / count))
    level, first, last = (
        torch.from_numpy(arrays[name][repeated].astype(np.int64)) for name in ("level", "first", "last")
    )
    highest = torch.tensor([_labels_below(volume, last[level == n]) for n, volume in enumerate(levels)])
    weights = _weights(arrays["volume_ml"][repeated])
    values = grey.float()
    return PretrainScan(
        grey=grey.to(device),
        mean=float(values.mean()),
        deviation=max(float(values.std(correction=0)), 1e-3),
        levels=levels.to(device),
        level=level.to(device),
        first=first.to(device),
        last=last.to(device),
        starts=(highest.cumsum(0) - highest).to(device),
        label_count=int(highest.sum()),
        weights=weights.to(device),
        host_weights=weights,
        bounds=arrays["bounds"][repeated],
    )


def _labels_below(volume: Tensor, last: Tensor) -> int:
    """One more than the highest label of a level, also of those that proposals name and no voxel has."""
    return 1 + int(max([volume.max(), *last]))


def _weights(volume_ml: NDArray[np.float32]) -> Tensor:
    """Chances by which each doubling of the volume is as likely as any other."""
    size = np.floor(np.log2(np.maximum(volume_ml, 1e-6))).astype(int)
    _, place, counts = np.unique(size, return_inverse=True, return_counts=True)
    weights = torch.from_numpy(1.0 / counts[place]).float()
    return weights / weights.sum()
