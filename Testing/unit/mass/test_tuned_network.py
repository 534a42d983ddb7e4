"""The network whose tokens are weights: what learns in each mode, and what a checkpoint holds of it."""

from __future__ import annotations

import pytest
import torch

from MaskWhatMattersLib.mass.tuned_network import TunedNetwork
from tiny_mass import tiny_network


@pytest.fixture
def tokens() -> list[torch.Tensor]:
    network = tiny_network(window=16)
    masks = torch.zeros(1, 2, 16, 16, 16)
    masks[0, 0, :8], masks[0, 1, 8:] = 1, 1
    with torch.no_grad():
        return [scale[0] for scale in network.encode_task(network.encode_image(torch.randn(1, 1, 16, 16, 16)), masks)]


def test_it_begins_as_in_context_segmentation(tokens):
    network, images = tiny_network(window=16), torch.randn(2, 1, 16, 16, 16)
    with torch.no_grad():
        expected = network.decode(network.encode_image(images), [scale[None] for scale in tokens])
        assert torch.equal(TunedNetwork(network, tokens, "tokens")(images), expected)


@pytest.mark.parametrize(
    ("mode", "learning"),
    [
        ("tokens", {"tokens"}),
        ("head", {"tokens", "classifier"}),
        ("full", {"tokens", "classifier", "encoder", "decoder"}),
    ],
)
def test_each_mode_learns_its_parts_and_keeps_only_those(tokens, mode, learning):
    network = TunedNetwork(tiny_network(window=16), tokens, mode)
    network(torch.randn(1, 1, 16, 16, 16)).square().mean().backward()
    reached = {name for name, each in network.named_parameters() if each.grad is not None}
    assert {name.removeprefix("network.").split(".")[0] for name in reached} == learning
    assert reached <= set(network.state_dict())
    assert {name.removeprefix("network.").split(".")[0] for name in network.state_dict()} == learning


def test_the_tokens_given_stay_as_they_are(tokens):
    before = [scale.clone() for scale in tokens]
    network = TunedNetwork(tiny_network(window=16), tokens, "tokens")
    with torch.no_grad():
        network.tokens[0].add_(1)
    assert all(torch.equal(*pair) for pair in zip(tokens, before, strict=True))


def test_weights_of_another_mode_are_refused(tokens):
    head = TunedNetwork(tiny_network(window=16), tokens, "head").state_dict()
    with pytest.raises(RuntimeError, match=r"does not fit this network: network\.classifier"):
        TunedNetwork(tiny_network(window=16), tokens, "tokens").load_state_dict(head)


def test_what_learned_is_taken_over(tokens):
    one, other = (TunedNetwork(tiny_network(window=16), tokens, "head") for _ in range(2))
    with torch.no_grad():
        one.tokens[0].add_(1)
        one.network.classifier.norm.weight.add_(1)
    other.load_state_dict(one.state_dict())
    assert torch.equal(other.tokens[0], one.tokens[0])
    assert torch.equal(other.network.classifier.norm.weight, one.network.classifier.norm.weight)
