"""Settings and scans for a MASS pretraining that takes milliseconds per step."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from MaskWhatMattersLib.datasets.image_cases import ImageCase
from MaskWhatMattersLib.mass.pretrain_cache import PreparedScans, prepare_scans
from MaskWhatMattersLib.mass.pretrain_config import MassPretrainConfig
from MaskWhatMattersLib.mass.proposals.from_labels import from_label_volume, joined
from MaskWhatMattersLib.mass.proposals.proposal_set import ProposalSet
from MaskWhatMattersLib.volumes import Volume, write_volume

NETWORK = {"width": 2, "window": 16, "queries": 2, "blocks": 1, "positions": "factorized"}
SHAPE = (20, 24, 22)


def tiny_values(**changes):
    """Fields of `MassPretrainConfig`."""
    values = {
        "network": NETWORK,
        "preprocessing": {"spacing_mm": 2.0},
        "crop": 16,
        "labels": 3,
        "least_voxels": 8,
        "steps": 4,
        "log_every": 1,
        "save_every": 2,
        "picture_every": 2,
        "precision": "fp32",
        "learning_rate": 0.01,
    }
    return values | changes


def tiny(**changes):
    """Settings of such a pretraining."""
    return MassPretrainConfig.model_validate(tiny_values(**changes))


class Blocks:
    """Proposes cubes of two sizes, and counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def propose(self, volume, progress=None) -> ProposalSet:
        self.asked += 1
        return joined(
            [from_label_volume(cubes(volume.spatial_shape, side), volume.spacing_mm, "user") for side in (8, 6)]
        )


def cubes(shape, side):
    """Labels from 1 on, one per cube of so many voxels."""
    places = np.indices(shape) // side
    counts = [-(-length // side) for length in shape]
    return np.ravel_multi_index(tuple(places), counts) + 1


def scan(seed: int = 0) -> Volume:
    """Noise with a bright block, 2 mm voxels."""
    array = np.random.default_rng(seed).normal(100, 10, SHAPE).astype(np.float32)
    array[4:12, 6 + seed : 16, 5:15] += 100
    return Volume(array[None], np.diag([2.0, 2.0, 2.0, 1.0]), f"scan {seed}", "MR")


def tiny_cases(count: int = 2) -> tuple[ImageCase, ...]:
    """Scans in memory."""
    return tuple(ImageCase(f"set/{seed}", scan(seed), str(seed)) for seed in range(count))


def tiny_scans(cache: Path, config: MassPretrainConfig | None = None, count: int = 2) -> PreparedScans:
    """Such scans with cubes as proposals."""
    return prepare_scans(tiny_cases(count), config or tiny(), cache=cache, proposer=Blocks())


def write_scans(folder: Path, count: int = 2) -> Path:
    """The scans as files 0.nii.gz, 1.nii.gz, ..."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(count):
        write_volume(scan(seed), folder / f"{seed}.nii.gz")
    return folder
