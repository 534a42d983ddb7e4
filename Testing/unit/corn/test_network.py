"""The pair of V-Nets."""

from __future__ import annotations

import pytest
import torch

from MaskWhatMattersLib.corn.network import CornNetwork, CornNetworkConfig


def test_the_pair_has_the_published_number_of_parameters():
    count = sum(weight.numel() for weight in CornNetwork(CornNetworkConfig()).parameters())
    assert count == pytest.approx(19.73e6, abs=1e4)


def test_the_branches_share_nothing_and_differ_in_their_decoders():
    network = CornNetwork(CornNetworkConfig(width=2, depth=2))
    assert not {id(weight) for weight in network.main.parameters()} & {
        id(weight) for weight in network.auxiliary.parameters()
    }
    assert (network.main.config.upsampling, network.auxiliary.config.upsampling) == ("transposed", "trilinear")


@pytest.mark.parametrize("sides", [(4, 8), (4, 8, 6)])
def test_both_branches_answer_in_2d_and_3d(sides):
    network = CornNetwork(CornNetworkConfig(spatial_dims=len(sides), width=2, depth=2))
    output = network(torch.randn(3, 1, *sides))
    assert output.main.logits.shape == output.auxiliary.logits.shape == (3, 2, *sides)
    assert not torch.equal(output.main.logits, output.auxiliary.logits)
