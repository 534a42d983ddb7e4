"""How a pretraining descends."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from MaskWhatMattersLib.pretraining.config import PretrainConfig
from MaskWhatMattersLib.pretraining.optimization import follow_schedule, make_optimizer, steps_of
from MaskWhatMattersLib.training.lamb import Lamb

NETWORK = nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2))


def test_the_optimizer_is_the_one_asked_for():
    assert isinstance(make_optimizer(PretrainConfig(), NETWORK), torch.optim.AdamW)
    assert isinstance(make_optimizer(PretrainConfig(optimizer="lamb"), NETWORK), Lamb)


def test_weight_decay_rises_where_there_is_any():
    config = PretrainConfig(weight_decay=0.04, weight_decay_end=0.2)
    optimizer = make_optimizer(config, NETWORK)
    follow_schedule(optimizer, config, 0, 101)
    assert [group["weight_decay"] for group in optimizer.param_groups] == [pytest.approx(0.04), 0]
    follow_schedule(optimizer, config, 50, 101)
    assert optimizer.param_groups[0]["weight_decay"] == pytest.approx(0.12)
    follow_schedule(optimizer, config, 100, 101)
    assert [group["weight_decay"] for group in optimizer.param_groups] == [pytest.approx(0.2), 0]


def test_the_learning_rate_warms_up_and_falls_to_its_floor():
    config = PretrainConfig(learning_rate=1.0, warmup=0.1, floor=0.25)
    optimizer = make_optimizer(config, NETWORK)
    rates = []
    for step in (0, 9, 99):
        follow_schedule(optimizer, config, step, 100)
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates == [pytest.approx(0.1), pytest.approx(1.0), pytest.approx(0.25, abs=0.01)]


def test_epochs_become_steps_once_the_images_are_counted():
    config = PretrainConfig(epochs=3, batch_size=4, steps=7)
    assert steps_of(config, 0) == 7
    assert steps_of(config, 10) == 8
    assert steps_of(config, 10, processes=2) == 4
    assert steps_of(PretrainConfig(steps=7), 10) == 7
