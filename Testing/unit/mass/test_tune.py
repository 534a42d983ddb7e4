"""The loop of tuning: what learns, what is kept, when it ends, and how it goes on."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import pytest
import torch

from MaskWhatMattersLib.errors import InputError, JobCancelledError
from MaskWhatMattersLib.mass import tune as loop
from MaskWhatMattersLib.mass.tune import tune
from MaskWhatMattersLib.mass.tune_cases import TuneCases
from MaskWhatMattersLib.mass.tune_config import MassTuneConfig
from MaskWhatMattersLib.progress import SilentProgress
from MaskWhatMattersLib.training.checkpoints import CHECKPOINT, read_checkpoint
from MaskWhatMattersLib.training.points import parse_point
from tiny_tuning import TINY, organ_examples, tuning_model

STILL = {"moved": 0, "share": 0}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tuning_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def cases() -> TuneCases:
    """Two that are learned from and one that measures."""
    return TuneCases(organ_examples(3), (1,))


class Told(SilentProgress):
    """Keeps what it is told, and cancels after some steps."""

    def __init__(self, cancel_after: int = 10**9) -> None:
        self.points: dict[int, dict[str, float]] = {}
        self.lines: list[str] = []
        self._left = cancel_after

    def step(self, count: int = 1, message: str = "") -> None:
        if self._left <= 0:
            raise JobCancelledError

    def log(self, text: str) -> None:
        point = parse_point(text)
        if point is None:
            self.lines.append(text)
            return
        self.points.setdefault(point[0], {}).update(point[1])
        self._left -= "loss" in point[1]


def settings(**changes: object) -> MassTuneConfig:
    return MassTuneConfig.model_validate(TINY | {"baseline": False} | changes)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return read_checkpoint(folder)["tuned"]["network"]


def test_the_curves_begin_with_the_examples_alone_and_show_the_baseline(model, cases, tmp_path):
    told = Told()
    tune(settings(baseline=True), cases, tmp_path, told, "cpu", model=model)
    stored = read_checkpoint(tmp_path)
    assert list(told.points) == [0, 1, 2, 3, 4]
    assert told.points[0] == {"dice": pytest.approx(stored["before"]["dice"], abs=1e-5)}
    assert set(told.points[2]) == set(told.points[4]) == {"loss", "baseline_loss", "dice", "baseline_dice"}
    assert stored["baseline"]["step"] == stored["baseline_steps"]
    assert any(
        "4 steps of" in line and f"{stored['baseline_steps']} steps of a plain U-Net" in line for line in told.lines
    )
    with (tmp_path / "log.csv").open() as lines:
        assert [int(row["step"]) for row in csv.DictReader(lines)] == [0, 1, 2, 3, 4]


def test_tokens_learn_to_fit_a_case(model, cases, tmp_path):
    told = Told()
    alone = TuneCases(cases.examples[:1], ())
    tune(settings(steps=10, token_rate=0.1, view=STILL, foreground=0), alone, tmp_path, told, "cpu", model=model)
    assert told.points[10]["loss"] < told.points[1]["loss"] - 0.005
    assert {name.split(".")[0] for name in weights(tmp_path)} == {"tokens"}
    assert "dice" not in told.points[10]


def test_the_spacing_of_the_task_can_be_chosen(model, cases, tmp_path):
    tune(settings(steps=1, spacing_mm=12.0), TuneCases(cases.examples[:1], ()), tmp_path, device="cpu", model=model)
    assert read_checkpoint(tmp_path)["task"]["spacing_mm"] == 12.0


def test_full_keeps_averaged_weights(model, cases, tmp_path):
    tune(settings(mode="full", steps=2), cases, tmp_path, device="cpu", model=model)
    stored = read_checkpoint(tmp_path)["tuned"]
    assert set(stored["averaged"]) == set(stored["network"])
    assert any(not torch.equal(stored["averaged"][name], stored["network"][name]) for name in stored["network"])


def test_going_on_gives_what_would_have_come_without_a_pause(model, cases, tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    tune(settings(), cases, whole, device="cpu", model=model)
    with pytest.raises(JobCancelledError):
        tune(settings(), cases, parts, Told(cancel_after=2), "cpu", model=model)
    assert read_checkpoint(parts)["step"] == 2
    told = Told()
    tune(settings(), cases, parts, told, "cpu", model=model)
    assert min(told.points) >= 2
    assert all(torch.equal(*pair) for pair in zip(weights(parts).values(), weights(whole).values(), strict=True))
    assert (parts / "log.csv").read_text() == (whole / "log.csv").read_text()


def test_a_cancel_before_the_first_step_leaves_nothing_to_go_on_with(model, cases, tmp_path):
    with pytest.raises(JobCancelledError):
        tune(settings(), cases, tmp_path, Told(cancel_after=0), "cpu", model=model)
    assert not (tmp_path / CHECKPOINT).exists()


@pytest.mark.parametrize(("scores", "kept", "steps"), [((0.5, 0.4, 0.3, 0.2), 0, 2), ((0.5, 0.4, 0.6, 0.7), 4, 4)])
def test_the_best_step_is_kept_and_tuning_ends_where_nothing_is_gained(
    model, cases, tmp_path, monkeypatch, scores, kept, steps
):
    remaining = iter(scores)
    monkeypatch.setattr(loop, "scan_dice", lambda *_: [next(remaining)] + [math.nan] * 4)
    told = Told()
    config = settings(validations=4, patience=2 if steps == 2 else 3) if steps == 2 else settings(validations=3)
    tune(config, cases, tmp_path, told, "cpu", model=model)
    stored = read_checkpoint(tmp_path)
    assert (stored["tuned"]["best"]["step"], stored["step"]) == (kept, steps)
    assert any("gains nothing more" in line for line in told.lines) is (steps == 2)


def test_the_baseline_uses_its_time_when_tuning_has_ended(model, cases, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "scan_dice", lambda *_: [0.5] * 5)
    told = Told()
    tune(settings(baseline=True, validations=4, patience=1), cases, tmp_path, told, "cpu", model=model)
    assert "loss" not in told.points[2]
    assert "baseline_dice" in told.points[4]
    assert read_checkpoint(tmp_path)["tuned"]["step"] == 1


def test_a_budget_gives_fewer_steps(model, cases, tmp_path):
    tune(settings(steps=100_000, minutes=1e-4, log_every=1), cases, tmp_path, device="cpu", model=model)
    assert read_checkpoint(tmp_path)["steps"] < 10


def test_other_settings_do_not_go_on(model, cases, tmp_path):
    tune(settings(), cases, tmp_path, device="cpu", model=model)
    with pytest.raises(InputError, match=r"made with other settings \(token_rate\)"):
        tune(settings(token_rate=0.5), cases, tmp_path, device="cpu", model=model)


def test_a_loss_that_is_no_number_ends_the_tuning(model, cases, tmp_path):
    with pytest.raises(InputError, match="diverged"):
        tune(
            settings(mode="full", token_rate=1e30, network_rate=1e30, clip=0),
            cases,
            tmp_path,
            device="cpu",
            model=model,
        )
