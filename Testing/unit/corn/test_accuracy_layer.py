"""The layer around an objective: averaging, pasting, warm-up."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from MaskWhatMattersLib.corn.averaged_network import AveragedNetwork
from MaskWhatMattersLib.corn.batch import CornBatch
from MaskWhatMattersLib.corn.loss_config import CornLossConfig
from MaskWhatMattersLib.corn.network import CornNetwork, CornNetworkConfig
from MaskWhatMattersLib.corn.objectives import make_objective

SHAPE = CornNetworkConfig(width=2, depth=2, dropout=0)


def layer(mode="supervised", **numbers):
    return make_objective(mode, SHAPE, CornLossConfig(accuracy=numbers), 2, accuracy_layer=True)


def batch(unlabelled=2):
    images = torch.arange(2.0 + unlabelled).view(-1, 1, 1, 1, 1).expand(-1, 1, 12, 12, 12).clone()
    return CornBatch(images, torch.zeros(2, 12, 12, 12, dtype=torch.long), torch.arange(2 + unlabelled))


def test_partners_exchange_a_box_of_two_thirds_with_its_labels():
    pasted, labels, true = layer().paste(batch(), torch.ones(2, 12, 12, 12, dtype=torch.long), step=0)
    for index, partner in ((0, 2), (1, 3), (2, 0), (3, 1)):
        foreign = pasted[index, 0] == partner
        assert foreign.sum() == 8**3
        assert ((pasted[index, 0] == index) | foreign).all()
        from_labelled = foreign if partner < 2 else ~foreign
        assert torch.equal(true[index], from_labelled)
        assert torch.equal(labels[index], (~from_labelled).long())


def test_the_box_moves_with_the_step_and_with_nothing_else():
    pseudo = torch.ones(2, 12, 12, 12, dtype=torch.long)
    one, same, other = (layer().paste(batch(), pseudo, step)[0] for step in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_unlabelled_patches_do_not_matter_during_the_warm_up():
    network, other = CornNetwork(SHAPE), batch()
    other.images[2:] += 5
    totals = [layer("ours", warmup=2)(network, given, 1).total.item() for given in (batch(), other)]
    assert totals[0] == totals[1]


def test_pseudo_labels_are_one_piece():
    objective, given = layer(), batch()
    given.images.copy_(torch.randn(given.images.shape, generator=torch.Generator().manual_seed(0)))
    logits = objective.teacher(given.images[2:]).logits
    with torch.no_grad():  # an untrained network may find nothing; this one finds 5 % of the voxels, here and there
        objective.teacher.network.head.bias[1] += (logits[:, 0] - logits[:, 1]).quantile(0.05)
    classes = objective.teacher(given.images[2:]).logits.argmax(1)
    found = objective.pseudo_labels(given)
    assert (found <= classes).all()
    assert 0 < found.sum() < classes.sum()


def test_pseudo_labels_do_not_reach_the_pool():
    objective = layer("code", warmup=0)
    seen = {}
    objective.wrapped.unsupervised = lambda output, given, step: seen.update(labels=given.labels) or {}
    objective(CornNetwork(SHAPE), batch(), 0)
    assert (seen["labels"] == -1).sum(dim=(1, 2, 3)).tolist() == [8**3, 8**3]


def test_the_averaged_main_branch_starts_as_the_network_and_follows_it():
    network, objective = CornNetwork(SHAPE), layer(warmup=0)
    objective(network, batch(), 0)
    start = copy.deepcopy(objective.teacher.network.state_dict())
    assert torch.equal(start["head.weight"], network.main.head.weight)
    with torch.no_grad():
        network.main.head.weight.add_(1)
    objective.after_step(network, 0)
    torch.testing.assert_close(objective.teacher.network.head.weight, start["head.weight"] + 0.9)


def test_a_network_without_a_pair_is_named():
    with pytest.raises(TypeError, match="Linear"):
        layer().start(nn.Linear(2, 2))


def test_an_averaged_network_is_not_trained():
    averaged = AveragedNetwork(nn.BatchNorm1d(2), 0.99)
    averaged.train()
    assert not averaged.network.training
    assert not any(p.requires_grad for p in averaged.parameters())
    assert not averaged(torch.randn(3, 2)).requires_grad
