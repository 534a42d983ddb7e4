"""The best weights of a training: which are kept, and that they are only lent."""

from __future__ import annotations

import math

import torch
from torch import nn

from MaskWhatMattersLib.training.best_weights import BestWeights


def test_of_equal_scores_the_earlier_wins_and_no_number_never_does():
    best, network = BestWeights(), nn.Linear(1, 1)
    for step, value in enumerate([math.nan, 0.5, 0.5, 0.4, math.nan], start=1):
        best.offer(step, {"auroc": value}, "auroc", network)
    assert (best.step, best.scores) == (2, {"auroc": 0.5})


def test_weights_are_lent_and_come_back():
    best, network = BestWeights(), nn.Linear(1, 1)
    best.offer(1, {"dice": 0.5}, "dice", network)
    first = network.weight.detach().clone()
    with torch.no_grad():
        network.weight += 1
    with best.applied_to(network):
        assert torch.equal(network.weight, first)
    assert torch.equal(network.weight, first + 1)


def test_what_training_starts_with_counts():
    best, network = BestWeights(), nn.Linear(1, 1)
    kept = [best.offer(step, {"dice": value}, "dice", network) for step, value in enumerate([0.5, 0.4, 0.6])]
    assert kept == [True, False, True]
    best.load_state_dict({"step": 0, "scores": {"dice": 0.5}, "weights": {}})
    assert not best.offer(1, {"dice": 0.5}, "dice", network)
