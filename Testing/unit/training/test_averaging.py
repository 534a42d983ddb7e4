"""Averaged weights."""

import pytest
import torch

from MaskWhatMattersLib.training.averaging import AveragedWeights


def layer(value: float) -> torch.nn.Module:
    made = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(made.weight, value)
    return made


def test_averaged_weights_move_towards_the_weights():
    averaged = AveragedWeights(layer(0), decay=0.9)
    averaged.update(layer(1), step=1000)
    assert averaged.state_dict()["weight"].item() == pytest.approx(0.1)


def test_the_first_weights_are_soon_forgotten_unless_the_decay_is_fixed():
    warmed, fixed = AveragedWeights(layer(0), decay=0.9), AveragedWeights(layer(0), decay=0.9, warmup=False)
    for averaged in (warmed, fixed):
        averaged.update(layer(1), step=1)
    assert warmed.state_dict()["weight"].item() == pytest.approx(1 - 2 / 11)
    assert fixed.state_dict()["weight"].item() == pytest.approx(0.1)


def test_counters_are_copied_not_averaged():
    norm = torch.nn.BatchNorm1d(1)
    averaged = AveragedWeights(norm, decay=0.9)
    norm(torch.rand(4, 1))
    averaged.update(norm, step=1)
    assert averaged.state_dict()["num_batches_tracked"].item() == 1


def test_saved_averages_continue():
    averaged = AveragedWeights(layer(0), decay=0.9)
    averaged.load_state_dict(AveragedWeights(layer(3), decay=0.9).state_dict())
    assert averaged.state_dict()["weight"].item() == 3


def test_lent_averages_are_given_back_even_after_an_error():
    module, averaged = layer(5), AveragedWeights(layer(2), decay=0.9)
    with pytest.raises(ZeroDivisionError), averaged.applied_to(module):
        1 / (module.weight.item() - 2)
    assert module.weight.item() == 5
