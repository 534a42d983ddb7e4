"""Masks of one scan, kept as label volumes and ranges of labels instead of one volume per mask."""

from __future__ import annotations

import contextlib
import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from MaskWhatMattersLib.errors import InputError

Slices = tuple[slice, slice, slice]

KINDS = ("supervoxel", "merged", "threshold", "watershed", "union", "user", "sam2")
"""Where a proposal comes from; `ProposalSet.kind` holds positions in this tuple."""

SUFFIX = ".proposals.npz"

_FORMAT = 1
_ARRAYS = ("level", "first", "last", "parent", "kind", "volume_ml", "bounds")


@dataclass(frozen=True, eq=False)
class ProposalSet:
    """N masks, any of which may overlap or lie in one another.

    Proposal n holds the voxels of `levels[level[n]]` whose label is in `first[n]`..`last[n]`. Labels of a merge tree
    are numbered so that every node of it is such a range; everything else is a range of one label.

    Attributes:
        levels: Label volumes, int32 [D, H, W] each, on one grid; 0 is nothing.
        level: Which label volume, int32 [N].
        first: Lowest label, int32 [N].
        last: Highest label, included, int32 [N].
        parent: The proposal that this one was merged into, int32 [N]; -1 where there is none.
        kind: Where it comes from, uint8 [N], see `KINDS`.
        volume_ml: float32 [N].
        bounds: Box in voxels, int32 [N, 6]: lowest k, j, i, then one beyond the highest.
        spacing_mm: Along i, j and k.
    """

    levels: tuple[NDArray[np.int32], ...]
    level: NDArray[np.int32]
    first: NDArray[np.int32]
    last: NDArray[np.int32]
    parent: NDArray[np.int32]
    kind: NDArray[np.uint8]
    volume_ml: NDArray[np.float32]
    bounds: NDArray[np.int32]
    spacing_mm: tuple[float, float, float]

    def __len__(self) -> int:
        return len(self.level)

    @property
    def spatial_shape(self) -> tuple[int, int, int]:
        """Voxels along k, j and i: (D, H, W)."""
        depth, height, width = self.levels[0].shape
        return depth, height, width

    @property
    def voxels(self) -> NDArray[np.int64]:
        """Voxels of each proposal, [N]."""
        return np.rint(self.volume_ml.astype(np.float64) * 1000 / np.prod(self.spacing_mm)).astype(np.int64)

    def masks(self, indices: Sequence[int] | NDArray[Any], slices: Slices | None = None) -> NDArray[np.bool_]:
        """Proposals as masks of a crop.

        Args:
            indices: K proposals.
            slices: Of [D, H, W]; the whole scan when None.

        Returns:
            [K, d, h, w].
        """
        chosen = np.asarray(indices, dtype=np.int64)
        crops = [volume[slices] if slices else volume for volume in self.levels]
        masks = np.zeros((len(chosen), *crops[0].shape), np.bool_)
        for mask, index in zip(masks, chosen, strict=True):
            labels = crops[self.level[index]]
            np.logical_and(labels >= self.first[index], labels <= self.last[index], out=mask)
        return masks

    def in_box(self, lower: Sequence[int], upper: Sequence[int], least_voxels: int = 1) -> NDArray[np.int64]:
        """Proposals with so many voxels in a box, rising; exact, and one pass over the box per label volume.

        Args:
            lower: Lowest k, j, i.
            upper: One beyond the highest k, j, i.
            least_voxels: At least 1.
        """
        box = tuple(slice(max(0, low), max(0, high)) for low, high in zip(lower, upper, strict=True))
        counts = np.zeros(len(self), np.int64)
        for number, volume in enumerate(self.levels):
            here = np.flatnonzero(self.level == number)
            if not here.size:
                continue
            below = counts_below(volume[box], int(self.last[here].max()))
            counts[here] = below[self.last[here] + 1] - below[self.first[here]]
        return np.flatnonzero(counts >= max(1, least_voxels))

    def subset(self, indices: Sequence[int] | NDArray[Any]) -> ProposalSet:
        """Only these proposals, in this order, on the same label volumes; a parent that is left out is unknown."""
        chosen = np.asarray(indices, dtype=np.int64)
        place = np.full(len(self) + 1, -1, np.int32)  # the last one is for -1, no parent
        place[chosen] = np.arange(len(chosen))
        picked: dict[str, Any] = {name: getattr(self, name)[chosen] for name in _ARRAYS}
        picked["parent"] = place[picked["parent"]]
        return replace(self, **picked)

    def placed(self, lower: Sequence[int], shape: tuple[int, int, int]) -> ProposalSet:
        """The same proposals in a larger field.

        Args:
            lower: k, j and i of the first voxel in it.
            shape: (D, H, W) of the field.
        """
        inner = tuple(slice(low, low + length) for low, length in zip(lower, self.spatial_shape, strict=True))
        levels = []
        for volume in self.levels:
            field = np.zeros(shape, np.int32)
            field[inner] = volume
            levels.append(field)
        moved = self.bounds + np.tile(np.asarray(lower, np.int32), 2)
        return replace(self, levels=tuple(levels), bounds=moved)

    def save(self, path: str | Path) -> None:
        """Write one compressed file, aside first and then renamed.

        Raises:
            InputError: The folder cannot be written to, or the disk is full.
        """
        target = Path(path)
        arrays: dict[str, Any] = {name: getattr(self, name) for name in _ARRAYS}
        arrays |= {f"labels_{number}": _narrowed(volume) for number, volume in enumerate(self.levels)}
        aside = target.with_name(f".{target.name}.{os.getpid()}")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with aside.open("wb") as file:
                np.savez_compressed(file, format=_FORMAT, spacing_mm=self.spacing_mm, **arrays)
            os.replace(aside, target)
        except OSError as error:
            with contextlib.suppress(OSError):
                aside.unlink()
            raise InputError(
                f"The proposals could not be written to {target}: {error.strerror or error}. Free some space or choose "
                "another folder, then run again."
            ) from error

    @classmethod
    def load(cls, path: str | Path) -> ProposalSet:
        """Read what `save` wrote.

        Raises:
            InputError: Missing, damaged, or not a file of proposals.
        """
        try:
            with np.load(path, allow_pickle=False) as stored:
                if int(stored["format"]) != _FORMAT:
                    raise ValueError(f"format {stored['format']}, expected {_FORMAT}")
                count = sum(name.startswith("labels_") for name in stored.files)
                levels = tuple(stored[f"labels_{number}"].astype(np.int32) for number in range(count))
                along_i, along_j, along_k = (float(step) for step in stored["spacing_mm"])
                arrays: dict[str, Any] = {name: stored[name] for name in _ARRAYS}
                found = cls(levels=levels, spacing_mm=(along_i, along_j, along_k), **arrays)
            _check_consistent(found)
        except (OSError, ValueError, LookupError, TypeError, EOFError, zipfile.BadZipFile) as error:
            raise InputError(
                f"{path} cannot be read as a file of proposals ({error}). Remove it and make the proposals again."
            ) from error
        return found


def counts_below(labels: NDArray[np.int32], highest: int) -> NDArray[np.int64]:
    """Voxels whose label is lower than n, for n from 0 to `highest` + 1."""
    counts = np.bincount(labels.reshape(-1), minlength=highest + 1)
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def _narrowed(volume: NDArray[np.int32]) -> NDArray[Any]:
    """The same labels in half the bytes where they fit."""
    return volume.astype(np.uint16) if volume.size and volume.min() >= 0 and volume.max() < 2**16 else volume


def _check_consistent(found: ProposalSet) -> None:
    """See that a file's arrays belong together.

    Raises:
        ValueError: They do not.
    """
    lengths = {len(getattr(found, name)) for name in _ARRAYS}
    shapes = {volume.shape for volume in found.levels}
    if len(lengths) != 1 or len(shapes) != 1 or len(next(iter(shapes))) != 3 or found.bounds.shape[1:] != (6,):
        raise ValueError("its arrays do not belong together")
    if len(found) and not 0 <= found.level.min() <= found.level.max() < len(found.levels):
        raise ValueError("it names label volumes that it does not hold")
    if len(found) and not (found.first.min() >= 1 and (found.first <= found.last).all()):
        raise ValueError("it holds ranges of labels that are out of order")
