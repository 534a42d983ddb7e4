"""Checkpoints, schedules and averaged weights."""

import pytest
import torch
from lightning_fabric import Fabric

from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.training.engine import (
    CHECKPOINT,
    AveragedWeights,
    append_log,
    due,
    load_checkpoint,
    save_checkpoint,
    step_seed,
    warmup_cosine,
)


@pytest.fixture(scope="module")
def fabric() -> Fabric:
    return Fabric(accelerator="cpu", devices=1)


def state(value: float) -> dict:
    layer = torch.nn.Linear(2, 2)
    torch.nn.init.constant_(layer.weight, value)
    return {"model": layer, "step": int(value), "config": {"steps": 10, "seed": 0}}


def test_a_checkpoint_brings_everything_back(fabric, tmp_path):
    save_checkpoint(fabric, state(3.0), tmp_path)
    fresh = state(0.0)
    assert load_checkpoint(fabric, fresh, tmp_path)
    assert fresh["step"] == 3
    assert (fresh["model"].weight == 3).all()


def test_without_a_checkpoint_nothing_is_loaded(fabric, tmp_path):
    assert not load_checkpoint(fabric, state(0.0), tmp_path)


def test_a_half_written_checkpoint_does_not_hide_the_previous_one(fabric, tmp_path):
    save_checkpoint(fabric, state(3.0), tmp_path)
    (tmp_path / f"{CHECKPOINT}.part").write_bytes(b"half")
    fresh = state(0.0)
    assert load_checkpoint(fabric, fresh, tmp_path)
    assert fresh["step"] == 3


def test_other_settings_are_refused_by_name(fabric, tmp_path):
    save_checkpoint(fabric, state(3.0), tmp_path)
    other = state(0.0) | {"config": {"steps": 20, "seed": 0}}
    with pytest.raises(InputError, match=r"other settings \(steps\)"):
        load_checkpoint(fabric, other, tmp_path)


def test_a_damaged_checkpoint_says_what_to_do(fabric, tmp_path):
    (tmp_path / CHECKPOINT).write_bytes(b"damaged")
    with pytest.raises(InputError, match="cannot be read"):
        load_checkpoint(fabric, state(0.0), tmp_path)


def test_a_folder_that_cannot_be_written_is_named(fabric, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="could not be written"):
        save_checkpoint(fabric, state(1.0), tmp_path / "file" / "run")


def test_the_schedule_warms_up_peaks_and_falls_to_its_floor():
    values = [warmup_cosine(step, warmup=10, total=100) for step in range(101)]
    assert values[0] == pytest.approx(0.1)
    assert max(values) == pytest.approx(1.0)
    assert values.index(max(values)) in (9, 10)
    assert values[100] == pytest.approx(0.01)


def test_averaged_weights_move_towards_the_weights():
    layer = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(layer.weight)
    averaged = AveragedWeights(layer, decay=0.9)
    torch.nn.init.ones_(layer.weight)
    averaged.update(layer, step=1000)
    assert averaged.state_dict()["weight"].item() == pytest.approx(0.1)


def test_steps_and_ranks_draw_different_seeds():
    seeds = {step_seed(seed, rank, step) for seed in range(3) for rank in range(3) for step in range(50)}
    assert len(seeds) == 450


def test_due_is_every_so_many_steps_and_never_for_zero():
    assert [step for step in range(1, 10) if due(step, 4)] == [4, 8]
    assert not due(4, 0)


def test_the_log_has_one_header(tmp_path):
    for step in (1, 2):
        append_log(tmp_path, {"step": step, "loss": 0.5})
    assert (tmp_path / "log.csv").read_text().splitlines() == ["step,loss", "1,0.5", "2,0.5"]
