"""The cache of a MASS pretraining: scans and their proposals, prepared once, which takes long."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from MaskWhatMattersLib.datasets.cases import joined, loaded
from MaskWhatMattersLib.datasets.image_cases import ImageCase
from MaskWhatMattersLib.datasets.relevance_cache import default_cache_folder
from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.mass.prepare import fitting_spacing, prepare
from MaskWhatMattersLib.mass.pretrain_config import MassPretrainConfig
from MaskWhatMattersLib.mass.pretrain_scans import PretrainScans
from MaskWhatMattersLib.mass.proposals.propose import SupervoxelProposer
from MaskWhatMattersLib.mass.proposals.proposer import MaskProposer
from MaskWhatMattersLib.progress import Progress, SilentProgress
from MaskWhatMattersLib.volumes import Volume
from MaskWhatMattersLib.volumes.files import free_space

_FORMAT = 1
_MOST_CHANNELS = 4
_LARGEST_INT16 = 2**15 - 1


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
                config.proposals.model_dump(mode="json"),
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


def _notes(folders: Sequence[Path], made: int) -> tuple[str, ...]:
    again = len(folders) - len(set(folders))
    notes = [f"{len(folders)} scans, of which {made} were prepared now."]
    if again:
        notes.append(f"{again} scans hold the same voxels as another one and count twice.")
    return tuple(notes)
