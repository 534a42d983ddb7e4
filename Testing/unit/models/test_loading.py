"""Strict loading."""

from __future__ import annotations

import pytest
import torch

from MaskWhatMattersLib.errors import ModelFileError
from MaskWhatMattersLib.models import load_into, read_model
from unit.models.small_models import network, saved


def test_weights_arrive_in_the_network_in_its_own_type(tmp_path):
    tensors, _ = read_model(saved(tmp_path))
    target = network()
    load_into(target, tensors)
    assert target[0].weight.dtype == torch.float32
    assert torch.equal(target[0].weight, tensors["0.weight"].float())


def test_one_error_lists_every_tensor_that_does_not_fit():
    state = network(width=5).state_dict()
    state["old.bias"] = state.pop("0.bias")
    state["extra"] = torch.ones(1)
    state["1.num_batches_tracked"] = torch.tensor(0.5)
    with pytest.raises(ModelFileError) as caught:
        load_into(network(), state, source="tiny.safetensors")
    message = str(caught.value)
    assert "tiny.safetensors do not fit the network Sequential" in message
    assert "1 missing: 0.bias" in message
    assert "2 unexpected: old.bias, extra" in message
    assert "0.weight (wanted [4, 1, 3, 3], found [5, 1, 3, 3])" in message
    assert "1.running_mean (wanted [4], found [5])" in message
    assert "1.num_batches_tracked (wanted torch.int64, found torch.float32)" in message


def test_a_network_is_unchanged_after_an_error():
    target = network()
    before = {name: tensor.clone() for name, tensor in target.state_dict().items()}
    state = network().state_dict()
    del state["1.bias"]
    with pytest.raises(ModelFileError):
        load_into(target, state)
    assert all(torch.equal(tensor, before[name]) for name, tensor in target.state_dict().items())
