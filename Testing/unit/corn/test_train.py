"""The training loop, on made-up atria and tiny networks."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch

from corn_phantoms import atrium_scan
from MaskWhatMattersLib.corn.config import CornTrainingConfig
from MaskWhatMattersLib.corn.network import CornNetwork
from MaskWhatMattersLib.corn.train import train, trained_network
from MaskWhatMattersLib.datasets.choice import choose
from MaskWhatMattersLib.datasets.training_cases import CornCases, TrainingCase
from MaskWhatMattersLib.errors import InputError, JobCancelledError
from MaskWhatMattersLib.progress import SilentProgress
from MaskWhatMattersLib.training.engine import parse_point

TINY = {
    "network": {"width": 4, "depth": 2, "dropout": 0.0},
    "preprocessing": {"spacing_mm": 4.0},
    "losses": {"unlabelled_rows": 64, "anchor_rows": 16, "pool_rows": 64, "minimum_voxels": 16, "ramp_steps": 0},
    "patch_size": (8, 8, 8),
    "steps": 4,
    "log_every": 1,
    "save_every": 2,
    "validate_every": 0,
}


@pytest.fixture(scope="module")
def cases() -> CornCases:
    scans = [atrium_scan(seed, spacing_mm=4.0, shape=(12, 14, 16)) for seed in range(5)]
    made = [TrainingCase(f"case{index}", *scan) for index, scan in enumerate(scans)]
    unlabelled = tuple(TrainingCase(case.name, case.image) for case in made[2:4])
    return CornCases(tuple(made[:2]), unlabelled, (made[4],))


def config(**settings: object) -> CornTrainingConfig:
    return CornTrainingConfig(**{**TINY, **settings})


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "log.csv").open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


class Listener(SilentProgress):
    """Remembers log lines; asks to stop after some steps."""

    def __init__(self, stop_after: int = 0) -> None:
        self.lines: list[str] = []
        self.steps, self.stop_after, self.is_training = 0, stop_after, False

    def stage(self, text: str, total: int = 0) -> None:
        self.is_training = text == "Training"

    def step(self, count: int = 1, message: str = "") -> None:
        self.steps += self.is_training
        if self.steps and self.steps == self.stop_after:
            raise JobCancelledError("stop")

    def log(self, text: str) -> None:
        self.lines.append(text)


@pytest.mark.parametrize("mode", ["ours", "paper", "code", "supervised", "mean_teacher"])
def test_every_mode_trains_both_branches(mode, cases, tmp_path):
    start = CornNetwork(config().network).state_dict()
    network = train(config(mode=mode), cases, tmp_path, device="cpu", start=start)
    assert not network.training
    for branch in ("main", "auxiliary"):
        name = f"{branch}.encoder.0.0.0.weight"
        assert not torch.equal(network.state_dict()[name], start[name])
    assert [row["step"] for row in rows(tmp_path)] == ["1", "2", "3", "4"]


@pytest.mark.parametrize("mode", ["ours", "supervised"])
def test_the_accuracy_layer_goes_with_a_mode(mode, cases, tmp_path):
    losses = {**TINY["losses"], "accuracy": {"warmup": 2}}
    train(config(mode=mode, accuracy_layer=True, losses=losses), cases, tmp_path, device="cpu")
    assert len(rows(tmp_path)) == 4


def test_supervised_training_learns_the_atrium(cases, tmp_path):
    settings = config(mode="supervised", steps=60, learning_rate=0.05, validate_every=60, log_every=60)
    train(settings, cases, tmp_path, device="cpu")
    assert float(rows(tmp_path)[-1]["dice"]) > 0.7


def test_points_of_the_curves_are_told(cases, tmp_path):
    listener = Listener()
    train(config(mode="supervised", validate_every=2), cases, tmp_path, listener, device="cpu")
    points = [point for point in map(parse_point, listener.lines) if point is not None]
    assert [step for step, _ in points] == [1, 2, 3, 4]
    assert {"loss", "dice", "dice_auxiliary"} <= points[1][1].keys()
    assert listener.steps == 4


def test_a_cancel_keeps_every_step_done(cases, tmp_path):
    with pytest.raises(JobCancelledError):
        train(config(mode="supervised", save_every=100), cases, tmp_path, Listener(stop_after=3), device="cpu")
    network, _, step = trained_network(tmp_path)
    assert step == 3
    assert not network.training


def test_training_goes_on_after_a_cancel_as_if_nothing_had_been(cases, tmp_path):
    settings = config(network={"width": 4, "depth": 2, "dropout": 0.5})
    train(settings, cases, tmp_path / "whole", device="cpu")
    with pytest.raises(JobCancelledError):
        train(settings, cases, tmp_path / "cut", Listener(stop_after=2), device="cpu")
    train(settings, cases, tmp_path / "cut", device="cpu")
    assert rows(tmp_path / "cut") == rows(tmp_path / "whole")


def test_the_budget_decides_the_steps_and_is_kept_for_a_resume(cases, tmp_path):
    listener = Listener()
    settings = config(mode="supervised", steps=10**6, minutes=0.001)
    train(settings, cases, tmp_path, listener, device="cpu")
    done = trained_network(tmp_path)[2]
    assert 1 <= done < 1000
    assert any("steps of" in line for line in listener.lines)
    train(settings, cases, tmp_path, device="cpu")
    assert trained_network(tmp_path)[2] == done


def test_averaged_weights_are_what_comes_out(cases, tmp_path):
    settings = config(mode="supervised", average=0.9)
    network = train(settings, cases, tmp_path, device="cpu")
    stored = torch.load(tmp_path / "checkpoint.ckpt", weights_only=True)
    name = "main.head.weight"
    assert torch.equal(network.state_dict()[name], stored["averaged"][name])
    assert not torch.equal(network.state_dict()[name], stored["module"][f"network.{name}"])
    assert torch.equal(trained_network(tmp_path)[0].state_dict()[name], network.state_dict()[name])


def test_a_semi_supervised_mode_without_unlabelled_scans_is_refused(cases, tmp_path):
    with pytest.raises(InputError, match=r"learns from unlabelled scans too; found none"):
        train(config(mode="ours"), CornCases(cases.labelled), tmp_path, device="cpu")


def test_no_model_comes_out_of_a_folder_without_a_checkpoint(tmp_path):
    with pytest.raises(InputError, match="no checkpoint"):
        trained_network(tmp_path)
    (tmp_path / "checkpoint.ckpt").write_bytes(b"half a file")
    with pytest.raises(InputError, match="damaged"):
        trained_network(tmp_path)


def test_no_scan_is_chosen_twice_where_there_are_enough():
    generator = torch.Generator().manual_seed(0)
    assert all(len(set(choose(3, 3, generator))) == 3 for _ in range(10))
    assert sorted(choose(2, 4, generator)) == [0, 0, 1, 1]
