"""What a network that learns the cases keeps, and when it has learned enough."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from MaskWhatMattersLib.mass.tune_learner import Learner
from MaskWhatMattersLib.mass.tune_scans import TuneBatch
from MaskWhatMattersLib.training.engine import make_fabric


@pytest.fixture
def batch() -> TuneBatch:
    """The right half is label 1; nobody knows where label 2 is."""
    masks = torch.zeros(1, 2, 4, 4, 4, dtype=torch.bool)
    masks[..., 2:] = True
    return TuneBatch(masks[:, :1].float(), masks, torch.tensor([[True, False]]))


def learner(decay: float = 0.0) -> Learner:
    torch.manual_seed(0)
    network = nn.Conv3d(1, 2, 1)
    return Learner(make_fabric("cpu"), network, [{"params": list(network.parameters()), "rate": 0.1}], decay, 1.0)


def test_it_learns_what_is_known_and_nothing_else(batch):
    one = learner()
    before = one.network.weight.detach().clone()
    losses = [float(one.learn([batch], 1.0)) for _ in range(20)]
    assert losses[-1] < 0.7 * losses[0]
    assert one.network.weight[0] != before[0]
    torch.testing.assert_close(one.network.weight[1], before[1], rtol=0.1, atol=0)  # but for the weight decay


def test_portions_add_up_to_the_whole_batch(batch):
    whole, parts = learner(), learner()
    twice = TuneBatch(*(torch.cat([part, part]) for part in batch))
    torch.testing.assert_close(whole.learn([twice], 1.0), parts.learn([batch, batch], 1.0))
    torch.testing.assert_close(whole.network.weight, parts.network.weight)


def test_averaged_weights_are_measured_and_the_own_ones_come_back(batch):
    one = learner(decay=0.9)
    one.learn([batch], 1.0)
    own = one.network.weight.detach().clone()
    with one.measured() as network:
        assert not torch.equal(network.weight, own)
    assert torch.equal(one.network.weight, own)


def test_it_waits_for_a_better_dice_but_not_where_nothing_was_measured():
    one = learner()
    waited = []
    for dice in (0.5, 0.5, math.nan, 0.4, 0.6):
        one.offer({"dice": dice})
        waited.append(one.waited)
    assert waited == [0, 1, 1, 2, 0]


def test_it_goes_on_from_what_was_stored(batch):
    one, other = learner(decay=0.9), learner(decay=0.9)
    one.learn([batch], 1.0)
    one.offer({"dice": 0.5})
    other.load_state_dict(one.state_dict())
    assert torch.equal(one.learn([batch], 0.5), other.learn([batch], 0.5))
    assert (other.step, other.best.scores) == (2, {"dice": 0.5})
