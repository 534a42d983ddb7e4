"""The batches of a training."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
import torch

from MaskWhatMattersLib.corn.config import CornTrainingConfig
from MaskWhatMattersLib.corn.training_scans import CornScans
from MaskWhatMattersLib.datasets.training_cases import CornCases, TrainingCase
from MaskWhatMattersLib.progress import SilentProgress
from MaskWhatMattersLib.volumes import Volume

CONFIG = CornTrainingConfig(
    network={"width": 2, "depth": 2},
    preprocessing={"spacing_mm": 1.0},
    patch_size=(4, 8, 8),
    labelled_per_batch=1,
    unlabelled_per_batch=1,
)


@pytest.fixture(scope="module")
def scans() -> CornScans:
    """Four labelled scans and one unlabelled, all brighter towards one side."""

    def case(index: int, *, drawn: bool) -> TrainingCase:
        ramp = np.tile(np.arange(8.0), (1, 4, 8, 1)) + np.linspace(0, 0.1 * (index + 1), 4)[None, :, None, None]
        label_map = Volume((ramp > 3).astype(np.uint8), np.eye(4), name="labels") if drawn else None
        return TrainingCase(f"case{index}", Volume(ramp, np.eye(4), name=f"case{index}"), label_map)

    labelled = tuple(case(index, drawn=True) for index in range(4))
    return CornScans(CONFIG, CornCases(labelled, (case(4, drawn=False),)), SilentProgress(), torch.device("cpu"))


def test_every_scan_comes_in_every_position(scans):
    seen = defaultdict(set)
    for seed in range(200):
        batch = scans.batch(seed)
        image = batch.images[0, 0, 0]
        lies_across = bool((image[0] - image[0, 0]).abs().max() > 0.5)
        rises = bool(image[-1, -1] > image[0, 0])
        seen[int(batch.scan_ids[0])].add((lies_across, rises))
    assert {index: len(positions) for index, positions in seen.items()} == dict.fromkeys(range(4), 4)


def test_a_batch_is_a_function_of_its_seed(scans):
    one, again, other = scans.batch(3), scans.batch(3), scans.batch(4)
    assert torch.equal(one.images, again.images)
    assert not torch.equal(one.images, other.images)
