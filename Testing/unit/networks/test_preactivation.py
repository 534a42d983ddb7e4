"""Pre-activation residual blocks."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from MaskWhatMattersLib.networks.preactivation import ResidualBlock, activate, convolve


def test_the_norm_is_that_of_each_image_and_channel():
    maps = torch.randn(2, 3, 4, 5, 6) * 5 + 2
    literal = functional.relu(nn.InstanceNorm3d(3, eps=1e-4)(maps))
    torch.testing.assert_close(activate(maps), literal)
    torch.testing.assert_close(activate(maps.to(memory_format=torch.channels_last_3d)), literal)


def test_the_norm_of_a_large_map_is_exact_when_the_network_is_applied():
    maps = (2 * torch.randn(1, 4, 64, 64, 64) + 3).to(memory_format=torch.channels_last_3d)
    with torch.inference_mode():
        found = activate(maps)
        torch.testing.assert_close(found, activate(maps.double()).float(), atol=1e-5, rtol=0)
        assert found.is_contiguous(memory_format=torch.channels_last_3d)
        assert activate(maps.bfloat16()).dtype == torch.bfloat16


def test_the_norm_of_a_single_voxel_is_zero():
    torch.testing.assert_close(activate(torch.randn(1, 3, 1, 1, 1)), torch.zeros(1, 3, 1, 1, 1), atol=1e-4, rtol=0)


@pytest.mark.parametrize("seed", range(5))
def test_the_statistics_of_half_precision_maps_are_exact(seed):
    torch.manual_seed(seed)
    maps = (torch.randn(1, 2, 16, 16, 16) + 30).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        found = activate(maps)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), activate(maps.float()), atol=2e-3, rtol=0.01)


def test_the_shortcut_is_a_convolution_of_the_same_activated_maps():
    block, maps = ResidualBlock(3, 4), torch.randn(2, 3, 6, 6, 6)
    literal = block.second(activate(block.first(activate(maps)))) + block.shortcut(activate(maps))
    torch.testing.assert_close(block(maps), literal, atol=1e-5, rtol=1e-5)


def test_without_a_change_of_channels_the_maps_themselves_are_the_shortcut():
    block, maps = ResidualBlock(3, 3), torch.randn(1, 3, 6, 6, 6)
    assert block.shortcut is None
    nn.init.zeros_(block.second.weight)
    torch.testing.assert_close(block(maps), maps)


def test_a_single_small_image_is_convolved_as_any_other():
    maps, weights = torch.randn(1, 8, 6, 6, 6, requires_grad=True), torch.randn(4, 8, 3, 3, 3)
    found, literal = convolve(maps, weights), functional.conv3d(maps.repeat(3, 1, 1, 1, 1), weights, padding=1)
    assert found.shape == (1, 4, 6, 6, 6)
    torch.testing.assert_close(found, literal[:1], atol=1e-4, rtol=1e-5)
    (gradient,) = torch.autograd.grad(found.sum(), maps)
    torch.testing.assert_close(gradient, torch.autograd.grad(literal[:1].sum(), maps)[0], atol=1e-4, rtol=1e-5)
