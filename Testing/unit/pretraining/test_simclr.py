"""SimCLR: two views of an image find each other, with any encoder."""

from __future__ import annotations

import pytest
import torch

from host_waits import HostWaits
from MaskWhatMattersLib.pretraining.batch import ViewsBatch
from MaskWhatMattersLib.pretraining.methods import make_method
from unit.pretraining.tiny_convolutional import ENCODERS, tiny_config, tiny_images
from unit.pretraining.tiny_masked import tiny_config as tiny_transformer

every_encoder = pytest.mark.parametrize("name", ["vit", *ENCODERS])


def tiny_simclr(name):
    torch.manual_seed(0)
    settings = {"contrastive": {"projection": 4}}
    if name == "vit":
        config = tiny_transformer("simclr", channels=2, **settings)
    else:
        config = tiny_config("simclr", name, **settings)
    return make_method(config), ViewsBatch(tiny_images(config, 0), tiny_images(config, 1))


@every_encoder
def test_it_learns_to_match_views(name):
    simclr, batch = tiny_simclr(name)
    optimizer = torch.optim.Adam(simclr.parameters(), 3e-3)
    losses = []
    for _ in range(10):
        losses.append(simclr(batch).total)
        losses[-1].backward()
        optimizer.step()
        optimizer.zero_grad()
    assert losses[-1] < 0.9 * losses[0]


@every_encoder
def test_the_projection_has_two_layers_on_the_pooled_encoder(name):
    simclr, batch = tiny_simclr(name)
    shapes = [tuple(weight.shape) for weight in simclr.projection.parameters() if weight.ndim == 2]
    width = shapes[0][0]
    assert shapes == [(width, width), (4, width)]
    simclr(batch).total.backward()
    assert all(weight.grad is not None for weight in simclr.parameters())


@every_encoder
def test_a_step_never_waits_for_the_device(name):
    simclr, batch = tiny_simclr(name)
    with HostWaits() as waits:
        simclr(batch).total.backward()
    assert waits.found == []
