"""AdamW or LAMB whose learning rate falls from the head to the input, layer by layer."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from MaskWhatMattersLib.finetuning.config import FinetuneConfig
from MaskWhatMattersLib.finetuning.schedules import Phase
from MaskWhatMattersLib.training.lamb import Lamb
from MaskWhatMattersLib.training.parameter_groups import parameter_groups


def make_optimizer(config: FinetuneConfig, network: nn.Module) -> Optimizer:
    """The optimizer of a network with an `encoder`; each group carries its own `scale` of the learning rate."""
    groups = layer_groups(network, config.weight_decay, config.layer_decay)
    if config.optimizer == "lamb":
        return Lamb(groups, lr=config.learning_rate, betas=config.betas)
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=config.betas, fused=True)


def layer_groups(network: nn.Module, weight_decay: float, layer_decay: float) -> list[dict[str, Any]]:
    """Parameters with their `scale`: `layer_decay` to the number of layers above them (BEiT, arXiv:2106.08254).

    The head has scale 1, the last layer of the encoder `layer_decay`, and so on down to the input. Biases, norms and
    positions do not decay.

    Args:
        network: Its `encoder` tells its layers from input to output by `layers()`.
        weight_decay: Of what decays.
        layer_decay: Factor per layer.

    Raises:
        ValueError: The encoder leaves out a parameter, or names one twice: a mistake in its `layers`.
    """
    encoder: Any = network.encoder
    layers: list[list[nn.Parameter]] = encoder.layers()
    depth_of = {id(parameter): depth for depth, layer in enumerate(layers) for parameter in layer}
    inside = {id(parameter) for parameter in encoder.parameters()}
    if set(depth_of) != inside or sum(map(len, layers)) != len(inside):
        raise ValueError(
            f"{type(encoder).__name__}.layers() must name every parameter once; found {sum(map(len, layers))} of "
            f"{len(inside)}."
        )
    members: list[list[tuple[str, nn.Parameter]]] = [[] for _ in range(len(layers) + 1)]
    for name, parameter in network.named_parameters():
        members[depth_of.get(id(parameter), len(layers))].append((name, parameter))
    return [
        {**group, "scale": layer_decay ** (len(layers) - depth)}
        for depth, named in enumerate(members)
        for group in parameter_groups(named, weight_decay)
    ]


def follow_phase(optimizer: Optimizer, learning_rate: float, phase: Phase) -> None:
    """Set the learning rates of a step."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate * phase.factor * group["scale"]


def set_stage(network: nn.Module, stage: str) -> None:
    """Let the encoder learn, or stand still: without gradients, and with the running means of its norms as they are."""
    encoder: Any = network.encoder
    network.train()
    encoder.train(stage == "all")
    for parameter in encoder.parameters():
        parameter.requires_grad = stage == "all"
