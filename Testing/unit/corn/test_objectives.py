"""Whole objectives on tiny networks; each loss by itself has its own tests."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from MaskWhatMattersLib.corn.batch import CornBatch
from MaskWhatMattersLib.corn.corn_objective import Embedded
from MaskWhatMattersLib.corn.feature_pool import Anchors
from MaskWhatMattersLib.corn.loss_config import CornLossConfig
from MaskWhatMattersLib.corn.network import CornNetwork, CornNetworkConfig, CornOutput
from MaskWhatMattersLib.corn.objective_base import gaussian_ramp
from MaskWhatMattersLib.corn.objectives import make_objective
from MaskWhatMattersLib.networks.vnet import VNetOutput
from unit.corn import literal_reference as literal

CORN = ("ours", "paper", "code")
MODES = (*CORN, "supervised", "mean_teacher")
SMALL = {"embedding": 6, "unlabelled_rows": 64, "minimum_voxels": 4, "unlabelled_groups": 2, "ramp_steps": 0}
LOSSES = CornLossConfig(**SMALL, anchor_rows=8, pool_rows=16)


def shape(dims=3):
    return CornNetworkConfig(spatial_dims=dims, width=2, depth=2, dropout=0)


def patches(dims=3, seed=0, unlabelled=2):
    """Bright blobs on noise, so that there is something to learn."""
    generator = torch.Generator().manual_seed(seed)
    sides = (8,) * dims
    labels = torch.zeros(2 + unlabelled, *sides, dtype=torch.long)
    labels[(slice(None), *[slice(2, 6)] * dims)] = 1
    images = 2.0 * labels[:, None] - 1 + 0.3 * torch.randn(2 + unlabelled, 1, *sides, generator=generator)
    return CornBatch(images, labels[:2], torch.arange(2 + unlabelled))


def knowing(batch, truth, requires_grad=False, seed=0):
    """Output of networks that are mostly right."""
    generator = torch.Generator().manual_seed(seed)

    def branch():
        noise = torch.randn(4, 2, *truth.shape[1:], generator=generator)
        logits = 3 * torch.stack([1 - truth, truth], 1) + noise
        features = torch.randn(4, 2, *truth.shape[1:], generator=generator) + truth[:, None]
        return VNetOutput(*(part.requires_grad_(requires_grad) for part in (logits, features, features.clone())))

    return CornOutput(branch(), branch())


def train(objective, network, steps, first=0, batch=None):
    """Plain gradient descent; losses of the steps."""
    weights = [p for p in (*network.parameters(), *objective.parameters()) if p.requires_grad]
    optimizer = torch.optim.SGD(weights, lr=0.05)
    totals = []
    for step in range(first, first + steps):
        losses = objective(network, batch or patches(seed=step), step)
        optimizer.zero_grad()
        losses.total.backward()
        optimizer.step()
        objective.after_step(network, step)
        totals.append(losses.total.item())
    return totals


def networks(seed=0, dims=3):
    torch.manual_seed(seed)
    return CornNetwork(shape(dims))


@pytest.mark.parametrize("accuracy_layer", [False, True])
@pytest.mark.parametrize("mode", MODES)
def test_every_method_trains_both_branches(mode, accuracy_layer):
    losses = CornLossConfig(**SMALL, anchor_rows=8, pool_rows=16, accuracy={"warmup": 1})
    objective = make_objective(mode, shape(), losses, 2, accuracy_layer=accuracy_layer)
    network = networks()
    totals = train(objective, network, 3)
    assert np.isfinite(totals).all()
    for branch in (network.main, network.auxiliary):
        gradients = [p.grad for p in branch.parameters()]
        assert all(torch.isfinite(g).all() for g in gradients)
        assert max(g.abs().max() for g in gradients) > 0


@pytest.mark.parametrize("mode", MODES)
def test_every_method_works_in_2d(mode):
    objective = make_objective(mode, shape(2), LOSSES, 2)
    assert np.isfinite(train(objective, networks(dims=2), 1, batch=patches(2))).all()


@pytest.mark.parametrize("mode", MODES)
def test_the_supervised_loss_falls(mode):
    objective, network = make_objective(mode, shape(), LOSSES, 2), networks()
    batch = patches()
    before = objective.supervised(network(batch.images), batch).item()
    train(objective, network, 12, batch=batch)
    assert objective.supervised(network(batch.images), batch).item() < before


@pytest.mark.parametrize("accuracy_layer", [False, True])
@pytest.mark.parametrize("mode", MODES)
def test_a_resumed_training_continues_exactly(mode, accuracy_layer):
    losses = CornLossConfig(**SMALL, anchor_rows=8, pool_rows=16, accuracy={"warmup": 1})

    def fresh(seed):
        return make_objective(mode, shape(), losses, 2, accuracy_layer=accuracy_layer, seed=7), networks(seed)

    objective, network = fresh(0)
    train(objective, network, 2)
    resumed, resumed_network = fresh(1)
    resumed.load_state_dict(objective.state_dict())
    resumed_network.load_state_dict(network.state_dict())
    assert train(resumed, resumed_network, 2, first=2) == train(objective, network, 2, first=2)


@pytest.mark.parametrize("mode", CORN)
def test_the_correlation_reaches_the_features_of_both_branches(mode):
    objective, batch = make_objective(mode, shape(), LOSSES, 2), patches()
    truth = torch.cat([batch.labels, batch.labels])
    output = knowing(batch, truth, requires_grad=True)
    objective.unsupervised(output, batch, 0)["correlation"].value.backward()
    for branch in output:
        used = branch.dropped if mode == "code" else branch.features
        assert used.grad[:2].abs().max() == 0
        assert used.grad[2:].abs().max() > 0


@pytest.mark.parametrize("mode", CORN)
def test_the_pool_holds_the_mean_projection_of_voxels_that_both_got_right(mode):
    objective, batch = make_objective(mode, shape(), LOSSES, 2), patches()
    output = knowing(batch, torch.cat([batch.labels, batch.labels]))
    features = [(b.dropped if mode == "code" else b.features)[1].flatten(1).T for b in output]
    mean = (objective.main_heads.project(features[0]) + objective.auxiliary_heads.project(features[1])) / 2
    if mode == "ours":
        mean = mean / mean.square().mean(1, keepdim=True).sqrt()
    objective.unsupervised(output, batch, 0)
    right = (output.main.logits.argmax(1) == output.auxiliary.logits.argmax(1))[1].flatten()
    right &= (output.main.logits.argmax(1)[1] == 1).flatten() & (batch.labels[1] == 1).flatten()
    assert objective.pool.available[1, 1] == right.sum()
    for row in objective.pool.features[1, 1].float():
        assert (mean[right] - row).abs().amax(1).min() < 1e-2


def embedded(seed=0, available=100):
    generator = torch.Generator().manual_seed(seed)
    main, auxiliary = (torch.randn(2, 64, 6, generator=generator) for _ in range(2))
    return Embedded(main, auxiliary, torch.ones(2, 64, dtype=torch.bool), torch.full((2,), available))


def anchors(valid=8):
    exists = torch.ones(2, 8, dtype=torch.bool)
    exists[1, valid:] = False
    return Anchors(torch.randn(2, 8, 6, generator=torch.Generator().manual_seed(5)), exists)


def test_released_correlation_is_the_literal_one():
    given, pool = embedded(), anchors()
    distances = [
        [literal.coral(literal.covariance(rows[c]), literal.covariance(pool.rows[p])) for c in (0, 1) for p in (0, 1)]
        for rows in (given.main, given.auxiliary)
    ]
    found = make_objective("code", shape(), LOSSES, 2).correlation(given, pool)
    assert found.item() == pytest.approx(literal.released_correlation_loss(*distances), rel=1e-4)


def test_released_correlation_leaves_out_a_class_that_the_pool_lacks():
    given, pool = embedded(), anchors(valid=7)
    distances = [
        [literal.coral(literal.covariance(rows[c]), literal.covariance(pool.rows[0])) for c in (0, 1)]
        for rows in (given.main, given.auxiliary)
    ]
    found = make_objective("code", shape(), LOSSES, 2).correlation(given, pool)
    assert found.item() == pytest.approx(literal.released_correlation_loss(*distances), rel=1e-4)


@pytest.mark.parametrize("mode", ["ours", "paper"])
def test_grouped_correlation_is_the_literal_one(mode):
    given, pool = embedded(), anchors()
    objective = make_objective(mode, shape(), CornLossConfig(**SMALL, alignment_weight=0), 2)

    def groups(rows, count):
        found = [literal.covariance(rows[c][g::count]) for c in (0, 1) for g in range(count)]
        return [literal.shrunk(matrix, 0.1) for matrix in found]

    pooled = groups(pool.rows, 2)
    main, auxiliary = (
        [[literal.coral(one, other) for other in pooled] for one in groups(rows, 2)]
        for rows in (given.main, given.auxiliary)
    )
    temperature = sorted(np.ravel([main, auxiliary]))[15]  # the lower median of 32
    expected = literal.correlation_loss(main, auxiliary, temperature)
    if mode == "ours":
        expected = (expected + literal.correlation_loss(auxiliary, main, temperature)) / 2
    assert objective.correlation(given, pool).item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("mode", ["ours", "paper"])
@pytest.mark.parametrize("lacking", ["agreed voxels", "pool voxels"])
def test_grouped_correlation_waits_until_every_class_has_enough(mode, lacking):
    objective = make_objective(mode, shape(), LOSSES, 2)
    few = embedded(available=3) if lacking == "agreed voxels" else embedded()
    few.main.requires_grad_()
    loss = objective.correlation(few, anchors(7 if lacking == "pool voxels" else 8))
    loss.backward()
    assert loss.item() == 0
    assert few.main.grad.abs().max() == 0
    assert objective.temperature == 0


def test_released_targets_carry_gradients_and_ours_do_not():
    pool, grown = anchors(), {}
    for mode in ("code", "ours"):
        given = embedded()
        given.main.requires_grad_()
        objective = make_objective(mode, shape(), CornLossConfig(**SMALL, anchor_rows=8, alignment_weight=0), 2)
        same = Embedded(given.main, given.main.detach(), given.valid, given.available)
        objective.correlation(same, pool).backward()
        grown[mode] = given.main.grad.abs().max().item()
    assert grown["ours"] < 1e-6  # equal distances: the target agrees, nothing is left to learn
    assert grown["code"] > 0


@pytest.mark.parametrize("mode", CORN)
def test_nothing_depends_on_the_global_random_state(mode):
    batch = patches()
    output = knowing(batch, torch.cat([batch.labels, batch.labels]))
    totals = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        objective = make_objective(mode, shape(), LOSSES, 2)
        totals.append(objective.losses(output, batch, 3).total.item())
    assert totals[0] == totals[1]


@pytest.mark.parametrize("mode", MODES)
def test_every_method_runs_under_bf16_autocast(mode):
    objective = make_objective(mode, shape(), LOSSES, 2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        losses = objective(networks(), patches(), 0)
    losses.total.backward()
    assert losses.total.dtype == torch.float32
    assert torch.isfinite(losses.total)


@pytest.mark.parametrize("mode", CORN)
def test_every_weight_of_the_heads_has_a_gradient_without_unlabelled_patches(mode):
    objective = make_objective(mode, shape(), LOSSES, 2)
    objective(networks(), patches(unlabelled=0), 0).total.backward()
    assert all(p.grad is not None for p in objective.parameters())


def test_the_ramp_follows_the_released_stairs():
    for step, value in ((0, np.exp(-5)), (149, np.exp(-5)), (150, np.exp(-5 * (39 / 40) ** 2)), (6000, 1), (9000, 1)):
        assert gaussian_ramp(step, steps=6000, every=150) == pytest.approx(value)


def test_three_classes_train_as_well():
    config = CornNetworkConfig(width=2, depth=2, dropout=0, classes=3)
    batch = patches()
    for mode in CORN:
        objective = make_objective(mode, config, LOSSES, 2)
        assert torch.isfinite(objective(CornNetwork(config), batch, 0).total)


@pytest.mark.parametrize("accuracy_layer", [False, True])
def test_a_short_training_gets_through_its_ramp_in_proportion(accuracy_layer):
    objective = make_objective(
        "ours", shape(), CornLossConfig(anchor_rows=8, pool_rows=16), 2, accuracy_layer=accuracy_layer
    )
    method = objective.wrapped if accuracy_layer else objective
    assert method.ramp(1200) == pytest.approx(gaussian_ramp(1200, steps=6000, every=150))
    objective.plan(3000)
    assert method.ramp(0) == pytest.approx(np.exp(-5))
    assert method.ramp(600) == pytest.approx(gaussian_ramp(3000, steps=6000, every=150))
    assert method.ramp(1200) == 1


def test_a_longer_training_keeps_the_published_ramp():
    objective = make_objective("code", shape(), CornLossConfig(anchor_rows=8, pool_rows=16), 2)
    objective.plan(60000)
    assert objective.ramp(3000) == pytest.approx(gaussian_ramp(3000, steps=6000, every=150))
