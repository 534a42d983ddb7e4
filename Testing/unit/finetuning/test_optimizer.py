"""Learning rates that fall towards the input, and an encoder that stands still."""

import pytest
import torch
from torch import nn

from MaskWhatMattersLib.finetuning.classification import Classifier
from MaskWhatMattersLib.finetuning.config import FinetuneConfig
from MaskWhatMattersLib.finetuning.optimizer import follow_phase, layer_groups, make_optimizer, set_stage
from MaskWhatMattersLib.finetuning.schedules import Phase
from MaskWhatMattersLib.networks.encoders import ResidualEncoderConfig, ResNetConfig, ViTConfig

VIT = ViTConfig(spatial_dims=2, image_size=(16, 16), patch_size=(8, 8), width=8, depth=2, heads=2, position="learned")
ENCODERS = {
    "vit": VIT,
    "resnet": ResNetConfig(widths=(8, 16), blocks=(1, 1), stem=4),
    "residual": ResidualEncoderConfig(spatial_dims=2, widths=(4, 8), blocks=(1, 1), normalization="batch"),
}


def groups_by_name(network, layer_decay=0.5):
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    groups = layer_groups(network, 0.1, layer_decay)
    return {names[id(parameter)]: group for group in groups for parameter in group["params"]}


@pytest.mark.parametrize("kind", ENCODERS)
def test_the_learning_rate_falls_from_the_head_to_the_input(kind):
    network = Classifier(ENCODERS[kind], 2)
    found = groups_by_name(network)
    layers = network.encoder.layers()
    assert set(found) == {name for name, _ in network.named_parameters()}
    assert {group["scale"] for name, group in found.items() if name.startswith("head.")} == {1.0}
    scales = {id(parameter): found[name]["scale"] for name, parameter in network.named_parameters()}
    of_layers = [{scales[id(parameter)] for parameter in layer} for layer in layers]
    assert of_layers == [{0.5 ** (len(layers) - depth)} for depth in range(len(layers))]


def test_biases_norms_and_positions_do_not_decay():
    found = groups_by_name(Classifier(VIT, 2))
    still = {name for name, group in found.items() if group["weight_decay"] == 0}
    assert {"encoder.positions", "encoder.norm.weight", "head.1.bias"} <= still
    assert "head.1.weight" not in still


def test_an_encoder_that_leaves_out_a_layer_is_a_mistake():
    network = Classifier(VIT, 2)
    network.encoder.layers = lambda: [list(network.encoder.norm.parameters())]
    with pytest.raises(ValueError, match="every parameter once"):
        layer_groups(network, 0.1, 0.5)


@pytest.mark.parametrize("name", ["adamw", "lamb"])
def test_a_phase_scales_every_learning_rate(name):
    network = Classifier(VIT, 2)
    config = FinetuneConfig(optimizer=name, layer_decay=0.5)
    optimizer = make_optimizer(config, network)
    follow_phase(optimizer, 0.1, Phase("all", 0.25))
    rates = {group["scale"]: group["lr"] for group in optimizer.param_groups}
    assert rates == pytest.approx({scale: 0.025 * scale for scale in rates})
    assert len(rates) == 5  # the head, the final norm, two blocks, the embedding


def test_an_encoder_that_stands_still_keeps_its_weights_and_running_means():
    network = Classifier(ENCODERS["residual"], 2)
    before = {name: value.clone() for name, value in network.encoder.state_dict().items()}
    optimizer = torch.optim.AdamW(layer_groups(network, 0.1, 1.0), lr=0.1)
    set_stage(network, "head")
    head = network.head[1].weight.detach().clone()
    nn.functional.cross_entropy(network(torch.randn(4, 1, 16, 16)), torch.tensor([0, 1, 0, 1])).backward()
    optimizer.step()
    assert all(torch.equal(value, before[name]) for name, value in network.encoder.state_dict().items())
    assert not torch.equal(network.head[1].weight, head)
    set_stage(network, "all")
    network(torch.randn(4, 1, 16, 16))
    assert all(parameter.requires_grad for parameter in network.parameters())
    assert not all(torch.equal(value, before[name]) for name, value in network.encoder.state_dict().items())
