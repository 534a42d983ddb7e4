"""Norms of visible positions: what the dense norm makes of those positions alone."""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from MaskWhatMattersLib.networks.masked_norm import masked_norm
from unit.networks import norm_of_two
from unit.networks.norm_of_two import features_and_visible

SCRIPT = Path(norm_of_two.__file__)


def gathered(features: torch.Tensor, visible: torch.Tensor) -> torch.Tensor:
    """Visible positions in rows, [N, C]."""
    return features.movedim(1, -1)[visible[:, 0]]


def with_weights(norm: nn.Module) -> nn.Module:
    for weight in norm.parameters():
        nn.init.normal_(weight)
    return norm.double()


@pytest.mark.parametrize("momentum", [0.1, None])
def test_batch_norm_of_visible_positions_is_that_of_their_rows(momentum):
    features, visible = features_and_visible(4, 3, 5)
    norm = with_weights(nn.BatchNorm3d(3, momentum=momentum))
    rows = nn.BatchNorm1d(3, momentum=momentum).double()
    rows.load_state_dict(norm.state_dict())
    for _ in range(2):  # the second mean of all batches differs from a mean of the first
        found, expected = masked_norm(norm, features, visible), rows(gathered(features, visible))
    torch.testing.assert_close(gathered(found, visible), expected)
    assert not (found * ~visible).any()
    torch.testing.assert_close(norm.state_dict(), rows.state_dict())


def test_gradients_of_batch_norm_are_those_of_its_rows():
    features, visible = features_and_visible(5, 6)
    norm = with_weights(nn.BatchNorm2d(3))
    rows = nn.BatchNorm1d(3).double()
    rows.load_state_dict(norm.state_dict())
    expected = torch.autograd.grad(rows(gathered(features, visible)).sin().sum(), [features, *rows.parameters()])
    found = torch.autograd.grad(masked_norm(norm, features, visible).sin().sum(), [features, *norm.parameters()])
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("affine", [True, False])
def test_instance_norm_of_visible_positions_is_that_of_each_images_rows(affine):
    features, visible = features_and_visible(4, 3, 5)
    norm = with_weights(nn.InstanceNorm3d(3, affine=affine))
    found = masked_norm(norm, features, visible)
    for image in range(2):
        alone = slice(image, image + 1)
        rows = gathered(features[alone], visible[alone])
        expected = nn.functional.instance_norm(rows.T[None], weight=norm.weight, bias=norm.bias)[0].T
        torch.testing.assert_close(gathered(found[alone], visible[alone]), expected)
    assert not (found * ~visible).any()


@pytest.mark.parametrize("norm", [nn.InstanceNorm2d(3, affine=True), nn.InstanceNorm2d(3), nn.BatchNorm2d(3)])
def test_the_gradients_that_are_written_out_are_right(norm):
    features, visible = features_and_visible(3, 4)
    weights = list(with_weights(norm).parameters())
    assert torch.autograd.gradcheck(lambda *_: masked_norm(norm, features, visible), (features, *weights))


def test_in_evaluation_the_running_statistics_are_used_and_kept():
    features, visible = features_and_visible(4, 4)
    norm = with_weights(nn.BatchNorm2d(3)).eval()
    before = copy.deepcopy(norm.state_dict())
    torch.testing.assert_close(masked_norm(norm, features, visible), norm(features) * visible)
    torch.testing.assert_close(norm.state_dict(), before)


@pytest.mark.parametrize("norm", [nn.InstanceNorm2d(3, affine=True), nn.BatchNorm2d(3, track_running_stats=False)])
@pytest.mark.parametrize("shown", [0, 1])
def test_one_visible_position_or_none_leaves_numbers(norm, shown):
    features = torch.randn(1, 3, 4, 4, requires_grad=True)
    visible = torch.zeros(1, 1, 4, 4, dtype=torch.bool)
    visible[0, 0, 2, :shown] = True
    found = masked_norm(norm, features, visible)
    found.sum().backward()
    assert not found.any()  # the mean of one is itself
    assert features.grad.isfinite().all()


def test_other_norms_are_refused():
    with pytest.raises(TypeError, match="batch and instance norm; found GroupNorm"):
        masked_norm(nn.GroupNorm(1, 3), torch.zeros(1, 3, 4, 4), torch.ones(1, 1, 4, 4, dtype=torch.bool))


def test_two_processes_share_their_statistics(tmp_path):
    running = [subprocess.Popen([sys.executable, SCRIPT, str(rank), tmp_path]) for rank in range(2)]
    assert [process.wait(60) for process in running] == [0, 0]
    features, visible = features_and_visible(5, 6)
    norm = nn.BatchNorm2d(3).double()
    normed = masked_norm(norm, features, visible)
    normed.sin().sum().backward()
    for rank in range(2):
        found = torch.load(tmp_path / f"{rank}.pt")
        torch.testing.assert_close(found["normed"], normed[rank : rank + 1].detach())
        torch.testing.assert_close(found["gradient"], features.grad[rank : rank + 1])
        torch.testing.assert_close(found["norm"], norm.state_dict())
