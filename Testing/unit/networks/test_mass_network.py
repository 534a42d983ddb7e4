"""The network of MASS."""

from __future__ import annotations

import pytest
import torch

from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.networks.mass_config import PRESETS
from MaskWhatMattersLib.networks.mass_network import MassNetwork, place
from tiny_mass import tiny_network


@pytest.fixture
def network():
    return tiny_network()


@pytest.fixture
def episode():
    """Query, reference and three masks."""
    torch.manual_seed(1)
    return torch.randn(2, 1, 16, 32, 16), torch.randn(2, 1, 32, 16, 32), torch.rand(2, 3, 32, 16, 32) > 0.7


@pytest.mark.parametrize(
    ("name", "parameters"), [("official", 120_126_373), ("small", 29_624_229), ("tiny", 7_990_837)]
)
def test_a_preset_has_as_many_parameters_as_it_says(name, parameters):
    with torch.device("meta"):
        network = MassNetwork(PRESETS[name])
    assert sum(weights.numel() for weights in network.parameters()) == parameters


def test_logits_are_on_the_voxels_of_the_query(network, episode):
    assert network(*episode).shape == (2, 3, 16, 32, 16)


def test_maps_and_tokens_have_the_shapes_that_others_rely_on(network, episode):
    query, reference, masks = episode
    assert [list(maps.shape[1:]) for maps in network.encode_image(query)] == [
        [32, 1, 2, 1],
        [16, 2, 4, 2],
        [8, 4, 8, 4],
        [4, 8, 16, 8],
        [2, 16, 32, 16],
    ]
    tokens = network.encode_task(network.encode_image(reference), masks)
    assert [list(scale.shape) for scale in tokens] == [[2, 3, 4, 32], [2, 3, 4, 16], [2, 3, 4, 8]]


def test_one_task_serves_all_images_of_a_batch(network, episode):
    query, reference, masks = episode
    features = network.encode_image(query)
    tokens = [scale[:1] for scale in network.encode_task(network.encode_image(reference), masks)]
    together = network.decode(features, tokens)
    alone = network.decode([maps[1:] for maps in features], tokens)
    torch.testing.assert_close(together[1:], alone, atol=1e-4, rtol=1e-4)


def test_labels_segmented_together_know_of_each_other(network, episode):
    query, reference, masks = episode
    together = network(query, reference, masks)[:, :1]
    alone = network(query, reference, masks[:, :1])
    assert (together - alone).abs().max() > 1e-4


def test_the_order_of_labels_changes_nothing(network, episode):
    query, reference, masks = episode
    backwards = network(query, reference, masks.flip(1)).flip(1)
    torch.testing.assert_close(network(query, reference, masks), backwards, atol=1e-4, rtol=1e-4)


def test_the_layout_in_memory_changes_nothing(network, episode):
    found = network(*episode)
    assert place(network, "cpu").encoder.stages[0][0].first.weight.is_contiguous(memory_format=torch.channels_last_3d)
    torch.testing.assert_close(network(*episode), found, atol=1e-3, rtol=1e-3)


def test_every_weight_learns(episode):
    network = tiny_network(positions="volume").train()
    network(*episode).square().mean().backward()
    silent = [name for name, weights in network.named_parameters() if weights.grad is None or not weights.grad.any()]
    # A bias before a norm changes nothing, and one voxel per crop is all that the deepest scale sees of one axis.
    assert [name for name in silent if "expand.bias" not in name and "merge.bias" not in name] == []


def test_half_precision_gives_about_the_same(network, episode):
    with torch.autocast("cpu", torch.bfloat16):
        half = network(*episode)
    full = network(*episode)
    assert (half.float() - full).abs().mean() < 0.1 * full.std() + 0.02


def test_dense_features_have_one_vector_per_voxel(network):
    assert network.dense_features(torch.randn(1, 1, 16, 16, 32)).shape == (1, 2, 16, 16, 32)


def test_masks_of_any_type_are_the_same(network, episode):
    query, reference, masks = episode
    torch.testing.assert_close(network(query, reference, masks), network(query, reference, masks.float()))


def test_sides_that_do_not_fit_are_refused_with_what_to_do(network):
    with pytest.raises(InputError, match=r"multiples of 16 voxels; found 16 x 20 x 16. Pad"):
        network.encode_image(torch.zeros(1, 1, 16, 20, 16))
    features = network.encode_image(torch.zeros(1, 1, 16, 16, 48))
    with pytest.raises(InputError, match=r"up to 32 voxels.*found 16 x 16 x 48. Cut"):
        network.encode_task(features, torch.ones(1, 1, 16, 16, 48))
    with pytest.raises(InputError, match=r"masks of 16 x 16 x 32 for a reference of 16 x 16 x 48"):
        network.encode_task(features, torch.ones(1, 1, 16, 16, 32))
