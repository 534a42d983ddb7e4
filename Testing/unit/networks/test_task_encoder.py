"""From maps and masks to tokens, against the layers as published."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from MaskWhatMattersLib.networks import task_encoder
from MaskWhatMattersLib.networks.mass_config import MassNetworkConfig
from MaskWhatMattersLib.networks.task_encoder import Positions, TaskEncoder, pixel_shuffle, pixel_unshuffle


def small(positions="factorized", window=16):
    torch.manual_seed(0)
    return TaskEncoder(MassNetworkConfig(width=2, window=window, queries=3, positions=positions), channels=8, stride=4)


def test_shuffling_goes_back_and_puts_channels_side_by_side():
    maps = torch.randn(2, 8, 2, 3, 4)
    fine = pixel_shuffle(maps, 2)
    assert fine.shape == (2, 1, 4, 6, 8)
    torch.testing.assert_close(pixel_unshuffle(fine, 2), maps)
    torch.testing.assert_close(fine[:, 0, :2, :2, :2].flatten(1), maps[:, :, 0, 0, 0])  # order of channels: D, H, W


def test_shuffling_rows_is_that_of_pytorch():
    maps = torch.randn(1, 8, 1, 3, 4)
    plane = functional.pixel_shuffle(maps[:, :4, 0], 2)  # the first plane takes the first four channels
    torch.testing.assert_close(pixel_shuffle(maps, 2)[:, :, 0], plane)


def test_the_context_is_that_of_every_label_by_itself():
    encoder = small()
    maps, masks = torch.randn(1, 8, 4, 4, 4), torch.rand(1, 3, 16, 16, 16) > 0.6
    activate = lambda x: functional.relu(functional.instance_norm(x, eps=1e-5))  # noqa: E731
    for label in range(3):
        fine = pixel_shuffle(encoder.expand(activate(maps)), 4)
        merged = encoder.merge(activate(torch.cat([fine, masks[:, label : label + 1].float()], dim=1)))
        merged = merged + encoder.positions(merged.shape[2:])
        literal = encoder.squeeze(activate(pixel_unshuffle(merged, 4))) + maps
        shared = functional.conv3d(activate(fine), encoder.merge.weight[:, :1], encoder.merge.bias, padding=1)
        shared = shared + encoder.positions(fine.shape[2:])
        torch.testing.assert_close(
            encoder._context(maps, shared, masks)[label : label + 1], literal, atol=1e-4, rtol=1e-4
        )


def test_labels_do_not_influence_each_other(monkeypatch):
    encoder = small()
    maps, masks = torch.randn(2, 8, 4, 4, 4), torch.rand(2, 3, 16, 16, 16) > 0.6
    together = encoder(maps, masks)
    assert together.shape == (2, 3, 4, 8)
    torch.testing.assert_close(encoder(maps, masks[:, 1:2]), together[:, 1:2], atol=1e-4, rtol=1e-4)
    monkeypatch.setattr(task_encoder, "_MOST_VOXELS", 1)  # one label at a time
    torch.testing.assert_close(encoder(maps, masks), together, atol=1e-4, rtol=1e-4)


def test_the_last_token_begins_as_the_masked_mean():
    encoder, maps = small(), torch.randn(1, 8, 4, 4, 4)
    masks = torch.rand(1, 1, 16, 16, 16) > 0.6
    encoder.blocks = torch.nn.ModuleList()
    tokens = encoder(maps, masks)
    other = encoder(maps * 2 - 1, masks)
    torch.testing.assert_close(tokens[:, :, :-1], other[:, :, :-1])
    assert not torch.allclose(tokens[:, :, -1], encoder(maps.flip(1), masks)[:, :, -1])


@pytest.mark.parametrize(("kind", "parameters"), [("volume", 16**3), ("factorized", 48), ("none", 0)])
def test_positions_take_as_many_parameters_as_they_say(kind, parameters):
    positions = Positions(MassNetworkConfig(width=2, window=16, positions=kind))
    assert sum(part.numel() for part in positions.parameters()) == parameters


@pytest.mark.parametrize("kind", ["volume", "factorized"])
def test_a_smaller_crop_takes_the_middle(kind):
    positions = Positions(MassNetworkConfig(width=2, window=32, positions=kind))
    whole, middle = positions(torch.Size((32, 32, 32))), positions(torch.Size((16, 32, 16)))
    torch.testing.assert_close(middle, whole[:, :, 8:24, :, 8:24])
