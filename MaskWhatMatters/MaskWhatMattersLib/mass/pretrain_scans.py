"""Scans with their proposals, ready for episodes, and the cache that keeps what took long to make."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from MaskWhatMattersLib.datasets.cases import joined, loaded
from MaskWhatMattersLib.datasets.image_cases import ImageCase
from MaskWhatMattersLib.datasets.relevance_cache import default_cache_folder
from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.mass.prepare import fitting_spacing, prepare
from MaskWhatMattersLib.mass.pretrain_config import MassPretrainConfig
from MaskWhatMattersLib.mass.proposals.propose import SupervoxelProposer
from MaskWhatMattersLib.mass.proposals.proposer import MaskProposer
from MaskWhatMattersLib.progress import Progress, SilentProgress
from MaskWhatMattersLib.volumes import Volume
from MaskWhatMattersLib.volumes.files import free_space

_FORMAT = 1
_MOST_CHANNELS = 4
_LARGEST_INT16 = 2**15 - 1


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


@dataclass(frozen=True)
class PreparedScans:
    """Where the scans lie in the cache.

    Attributes:
        folders: One per scan.
        sets: The set that each scan belongs to: the first part of its name.
        notes: What the person should know, one sentence each.
    """

    folders: tuple[Path, ...]
    sets: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.folders)

    def on(self, device: torch.device | str, config: MassPretrainConfig) -> PretrainScans:
        """The scans on a device."""
        return PretrainScans(self.folders, self.sets, labels=config.labels, balance=config.balance, device=device)


def default_mass_cache() -> Path:
    """The user's folder for prepared scans; it may not exist yet."""
    return default_cache_folder().with_name("mass")


def prepare_scans(
    cases: Sequence[ImageCase],
    config: MassPretrainConfig,
    progress: Progress | None = None,
    cache: Path | None = None,
    proposer: MaskProposer | None = None,
) -> PreparedScans:
    """Prepare scans and propose masks, once for each scan: what the cache holds is not made again.

    Args:
        cases: What to read; each channel of a scan with up to four is a scan of its own, as the sequences of an MR.
        config: Settings.
        progress: Told of each scan; may stop the work, which goes on there the next time.
        cache: Folder; that of the user when None.
        proposer: Proposes masks; supervoxels when None.

    Raises:
        InputError: Scans that cannot be used, all named; no scan; or the cache cannot be written to.
        JobCancelledError: The user asked to stop.
    """
    progress = progress or SilentProgress()
    keeper = _Keeper(cache or default_mass_cache(), config, proposer)
    folders: list[Path] = []
    sets: list[str] = []
    problems: list[str] = []
    progress.stage("Preparing the scans", len(cases))
    for case in cases:
        try:
            found = keeper.folders_of(case, progress)
        except InputError as error:
            problems.append(str(error) if case.name in str(error) else f"{case.name}: {error}")
        else:
            folders += found
            sets += [case.name.partition("/")[0] if "/" in case.name else ""] * len(found)
        progress.step()
    if problems:
        raise InputError(joined(problems))
    if not folders:
        raise InputError("There is no scan to learn from; found none. Choose a folder with scans.")
    return PreparedScans(tuple(folders), tuple(sets), _notes(folders, keeper.made))


class _Within:
    """Progress of one scan within that of all: says nothing, but still lets the user stop."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def stage(self, text: str, total: int = 0) -> None:
        self._progress.step(0)

    def step(self, count: int = 1, message: str = "") -> None:
        self._progress.step(0)

    def log(self, text: str) -> None:
        self._progress.log(text)


class _Keeper:
    """Finds scans in the cache, or makes them."""

    def __init__(self, cache: Path, config: MassPretrainConfig, proposer: MaskProposer | None) -> None:
        self.cache, self.config = cache, config
        self.made = 0
        self._proposer = proposer or SupervoxelProposer(config.proposals)
        self._settings = json.dumps(
            [
                _FORMAT,
                config.crop,
                config.preprocessing.model_dump(mode="json"),
                config.proposals.model_dump(mode="json", exclude_defaults=True),
                "supervoxels" if proposer is None else type(proposer).__name__,
            ],
            sort_keys=True,
        )

    def folders_of(self, case: ImageCase, progress: Progress) -> list[Path]:
        """One folder per channel."""
        start = self.cache / _digest(case.image, self._settings)
        known = sorted(start.glob("[0-9]"))
        if known:
            return known
        volume = loaded(case.image)
        if volume.channels > _MOST_CHANNELS:
            raise InputError(
                f"{case.name} must have one value per voxel, or up to {_MOST_CHANNELS}; found {volume.channels} (the "
                "frames of a time series, or a vector image). Extract the ones to learn from, or take it out."
            )
        aside = self._new_folder()
        try:
            for channel in range(volume.channels):
                one = replace(volume, array=volume.array[channel : channel + 1])
                self._make(one, aside / str(channel), progress)
            with contextlib.suppress(OSError):  # another process was faster
                aside.rename(start)
        except OSError as error:
            raise InputError(
                f"The prepared scans could not be kept in {self.cache} ({error.strerror or error}; "
                f"{free_space(self.cache)}). Free some space, or choose another folder for them (--cache)."
            ) from error
        finally:
            shutil.rmtree(aside, ignore_errors=True)
        self.made += 1
        return sorted(start.glob("[0-9]"))

    def _new_folder(self) -> Path:
        try:
            self.cache.mkdir(parents=True, exist_ok=True)
            return Path(tempfile.mkdtemp(dir=self.cache, prefix=".writing-"))
        except OSError as error:
            raise InputError(
                f"The folder {self.cache} for prepared scans cannot be written to ({error.strerror or error}). Choose "
                "another one (--cache)."
            ) from error

    def _make(self, volume: Volume, folder: Path, progress: Progress) -> None:
        """Write one scan: grey values, label volumes, proposals."""
        preprocessing = self.config.preprocessing
        prepared = prepare(volume, preprocessing, fitting_spacing(volume, preprocessing, self.config.crop))
        values = prepared.volume.array * prepared.deviation + prepared.mean
        modality = "CT" if prepared.is_ct else (volume.modality or "MR")
        scan = replace(prepared.volume, array=values.astype(np.float32), modality=modality, name="")
        proposals = self._proposer.propose(scan, _Within(progress))
        if not len(proposals):
            raise InputError(f"Nothing can be told apart in {volume.name}; no mask was found. Take it out.")
        low, high = float(values.min()), float(values.max())
        grey = np.rint((values[0] - low) * (255.0 / (high - low))).astype(np.uint8)
        largest = max(int(labels.max()) for labels in proposals.levels)
        labels = np.stack(proposals.levels).astype(np.int16 if largest <= _LARGEST_INT16 else np.int32)
        folder.mkdir()
        np.save(folder / "grey.npy", grey)
        np.save(folder / "levels.npy", labels)
        np.savez(
            folder / "proposals.npz",
            **{name: getattr(proposals, name) for name in ("level", "first", "last", "volume_ml", "bounds")},
        )


def _digest(image: Path | Volume, settings: str) -> str:
    """The same for the same scan and settings, wherever its files lie and whatever they are called."""
    digest = hashlib.blake2b(settings.encode(), digest_size=16)
    for part in _content(image):
        digest.update(part)
    return digest.hexdigest()


def _content(image: Path | Volume) -> Iterator[Any]:
    if isinstance(image, Volume):
        yield repr((image.array.shape, image.array.dtype.str, image.modality)).encode()
        yield np.ascontiguousarray(image.affine.round(6) + 0.0).data
        yield np.ascontiguousarray(image.array).data
        return
    files = sorted(each for each in image.rglob("*") if each.is_file()) if image.is_dir() else [image]
    try:
        for file in files:
            yield file.read_bytes()
    except OSError as error:
        raise InputError(f"{image} cannot be read ({error.strerror or error}). Check the path.") from error


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


def _notes(folders: Sequence[Path], made: int) -> tuple[str, ...]:
    again = len(folders) - len(set(folders))
    notes = [f"{len(folders)} scans, of which {made} were prepared now."]
    if again:
        notes.append(f"{again} scans hold the same voxels as another one and count twice.")
    return tuple(notes)
