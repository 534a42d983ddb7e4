"""What weight decay is for."""

from __future__ import annotations

import torch
from torch import nn

from MaskWhatMattersLib.training.parameter_groups import is_decayed, parameter_groups


def test_matrices_and_kernels_decay_and_nothing_else() -> None:
    network = nn.Sequential(nn.Conv3d(1, 2, 3), nn.BatchNorm3d(2), nn.Linear(2, 2))
    decayed = {name for name, weight in network.named_parameters() if is_decayed(name, weight)}
    assert decayed == {"0.weight", "2.weight"}


def test_positions_and_mask_tokens_do_not_decay() -> None:
    table = nn.Parameter(torch.zeros(8, 4))
    assert not is_decayed("encoder.position", table)
    assert not is_decayed("mask_token", table)
    assert is_decayed("encoder.patch_embedding.weight", table)
    assert not is_decayed("densify.0.scale", nn.Parameter(torch.zeros(1, 4, 1, 1)))


def test_frozen_parameters_are_in_no_group() -> None:
    network = nn.Linear(2, 2)
    network.bias.requires_grad_(False)
    groups = parameter_groups(network.named_parameters(), 0.05)
    assert [(len(group["params"]), group["weight_decay"]) for group in groups] == [(1, 0.05)]
