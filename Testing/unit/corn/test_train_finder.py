"""The training of the finder."""

from __future__ import annotations

import torch

from MaskWhatMattersLib.corn.locate import AtriumFinder
from MaskWhatMattersLib.corn.train_finder import (
    FinderTrainingConfig,
    finder_card,
    overlap_loss,
    surrounded_scans,
    train_finder,
)
from MaskWhatMattersLib.models import save_model
from MaskWhatMattersLib.progress import SilentProgress
from MaskWhatMattersLib.volumes import read_volume
from phantoms import write_data_folder

TINY = FinderTrainingConfig(
    network={"width": 2, "depth": 2, "dropout": 0},
    preprocessing={"spacing_mm": 6.0},
    patch_size=(8, 16, 16),
    surroundings=2,
    largest=(8, 24, 24),
    steps=4,
    save_every=2,
)


def test_a_finder_is_trained_resumed_and_loaded(tmp_path):
    data = write_data_folder(tmp_path / "data")
    whole = train_finder(TINY, data, tmp_path / "whole", SilentProgress(), "cpu")
    again = train_finder(TINY, data, tmp_path / "whole", SilentProgress(), "cpu")
    for name, value in whole.state_dict().items():
        assert torch.equal(value, again.state_dict()[name])
    save_model(whole.state_dict(), finder_card(TINY, "9.9", 3), tmp_path / "left-atrium-finder.safetensors")
    finder = AtriumFinder.load(tmp_path / "left-atrium-finder.safetensors", "cpu")
    finder.find(read_volume(data / "left_atrium/images/3.nii.gz"), 10.0)


def test_every_scan_gets_several_surroundings_of_at_least_its_own_size(tmp_path):
    data = write_data_folder(tmp_path / "data")
    scans = surrounded_scans(TINY, data, SilentProgress(), torch.device("cpu"))
    assert len(scans) == 3 * 2
    for scan, labels in zip(scans.scans, scans.label_maps, strict=True):
        assert scan.shape == labels.shape
        assert all(side >= 6 for side in scan.shape)
        assert labels.any()


def test_the_loss_falls_as_the_answer_gets_right():
    labels = torch.zeros(1, 4, 4, 4, dtype=torch.long)
    labels[:, 1:3, 1:3, 1:3] = 1
    right = torch.stack([-8.0 * (labels - 0.5), 8.0 * (labels - 0.5)], dim=1)
    assert overlap_loss(right, labels) < 0.05
    assert overlap_loss(torch.zeros_like(right), labels) > 0.8
    assert overlap_loss(-right, labels) > 4
