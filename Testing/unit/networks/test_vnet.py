"""V-Net: the published sizes, both decoders, both dimensions."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from MaskWhatMattersLib.networks.vnet import VNet, VNetConfig


def parameters(module: nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters())


def tiny(**settings: object) -> VNet:
    torch.manual_seed(0)
    return VNet(VNetConfig(**{"width": 2, "depth": 3, **settings})).eval()


def test_the_papers_setting_has_the_published_number_of_parameters():
    network = VNet(VNetConfig())
    assert parameters(network) == pytest.approx(9.449e6, abs=500)
    assert parameters(network.encoder) + parameters(network.down) == pytest.approx(7.377e6, abs=500)


@pytest.mark.parametrize(("upsampling", "published"), [("transposed", 2.072e6), ("trilinear", 2.899e6)])
def test_each_decoder_has_the_published_number_of_parameters(upsampling, published):
    network = VNet(VNetConfig(upsampling=upsampling))
    decoder = parameters(network.up) + parameters(network.decoder) + parameters(network.head)
    assert decoder == pytest.approx(published, abs=500)


@pytest.mark.parametrize("upsampling", ["transposed", "trilinear"])
@pytest.mark.parametrize("sides", [(8, 12), (8, 4, 12)])
def test_logits_and_features_lie_on_the_grid_of_the_image(sides, upsampling):
    network = tiny(spatial_dims=len(sides), upsampling=upsampling, in_channels=3, classes=4)
    output = network(torch.randn(2, 3, *sides))
    assert output.logits.shape == (2, 4, *sides)
    assert output.features.shape == (2, 2, *sides)


def test_depth_and_width_are_free():
    network = tiny(depth=6, width=1)
    assert network.config.divisor == 32
    assert network.config.widths == (1, 2, 4, 8, 16, 32)
    assert network(torch.randn(1, 1, 32, 32, 32)).logits.shape == (1, 2, 32, 32, 32)


def test_a_side_that_does_not_divide_is_refused():
    with pytest.raises(ValueError, match=r"multiples of 4; found \(8, 8, 6\)"):
        tiny()(torch.randn(1, 1, 8, 8, 6))


def test_dropout_hides_whole_channels_from_the_head_in_training_only():
    network = tiny(width=8)
    images = torch.randn(2, 1, 8, 8, 8)
    assert torch.equal(*network(images)[1:])
    output = network.train()(images)
    is_zero = (output.dropped == 0).flatten(2).all(-1)
    assert is_zero.any()
    torch.testing.assert_close(output.dropped[~is_zero], 2 * output.features[~is_zero])


def test_a_whole_scan_and_a_window_agree_away_from_the_borders():
    network = tiny(depth=2)
    images = torch.randn(1, 1, 48, 8, 8)
    whole, window = network(images).logits, network(images[:, :, :32]).logits
    torch.testing.assert_close(whole[:, :, :16], window[:, :, :16])


@pytest.mark.parametrize("normalization", ["batch", "instance"])
def test_recomputing_features_changes_neither_result_nor_gradients(normalization):
    images = torch.randn(2, 1, 8, 8, 8)
    gradients = []
    for recomputes in (False, True):
        network = tiny(normalization=normalization, dropout=0.0).train()
        network.recomputes = recomputes
        network(images).logits.square().mean().backward()
        gradients.append([weight.grad for weight in network.parameters()])
    torch.testing.assert_close(*gradients)
