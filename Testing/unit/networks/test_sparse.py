"""Sparse encoders: equal to the dense one where all is visible, blind to what is hidden."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from host_waits import HostWaits
from MaskWhatMattersLib.networks.sparse import sparse, visible_at
from unit.networks.tiny_encoders import ENCODERS, tiny_encoder, tiny_images, tiny_visible

every_encoder = pytest.mark.parametrize("name", ENCODERS)
both_modes = pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])


@every_encoder
@both_modes
def test_on_an_unmasked_image_it_is_the_dense_encoder(name, training):
    dense = tiny_encoder(name).train(training)
    other = copy.deepcopy(dense)
    images, visible = tiny_images(name), torch.ones_like(tiny_visible(name))
    torch.testing.assert_close(sparse(other)(images, visible), dense(images))
    torch.testing.assert_close(dict(other.named_buffers()), dict(dense.named_buffers()))


@every_encoder
def test_on_an_unmasked_image_its_gradients_are_those_of_the_dense_encoder(name):
    dense = tiny_encoder(name)
    other = copy.deepcopy(dense)
    images, visible = tiny_images(name), torch.ones_like(tiny_visible(name))
    for maps in (dense(images), sparse(other)(images, visible)):
        sum(features.sin().sum() for features in maps).backward()
    for expected, found in zip(dense.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(found.grad, expected.grad)


@every_encoder
@both_modes
@pytest.mark.parametrize("change", [7.0, float("nan")])
def test_hidden_voxels_change_nothing(name, training, change):
    encoder = sparse(tiny_encoder(name).train(training))
    images, visible = tiny_images(name), tiny_visible(name)
    others = torch.where(visible_at(visible, images.shape[2:]), images, images + change)
    assert not torch.equal(images, others)
    for expected, found in zip(encoder(images, visible), encoder(others, visible), strict=True):
        assert torch.equal(found, expected)


@every_encoder
@both_modes
def test_visible_voxels_matter_and_hidden_positions_stay_empty(name, training):
    encoder = sparse(tiny_encoder(name).train(training))
    images, visible = tiny_images(name), tiny_visible(name)
    changed = encoder(images.flip(0), visible)
    for features, other in zip(encoder(images, visible), changed, strict=True):
        shown = visible_at(visible, features.shape[2:])
        assert not torch.equal(features, other)
        assert not (features * ~shown).any()
        assert (features.amax(1, keepdim=True) * shown).any()


def test_it_is_a_sum_over_visible_neighbours():
    weights, bias, image = torch.randn(3, 3), torch.randn(()), torch.randn(4, 4)
    shown = torch.rand(4, 4) < 0.6
    convolution = nn.Conv2d(1, 1, 3, padding=1)
    convolution.weight.data[0, 0], convolution.bias.data[0] = weights, bias
    found = sparse(nn.Sequential(convolution))(image[None, None], shown[None, None])[0, 0]
    assert not found[~shown].any()
    for row, column in shown.nonzero().tolist():
        expected = bias.clone()
        for y in range(max(0, row - 1), min(4, row + 2)):
            for x in range(max(0, column - 1), min(4, column + 2)):
                if shown[y, x]:
                    expected += weights[y - row + 1, x - column + 1] * image[y, x]
        torch.testing.assert_close(found[row, column], expected)


def test_a_pool_takes_the_largest_visible_value_even_where_all_are_negative():
    image = -torch.arange(1.0, 17).reshape(1, 1, 4, 4)
    visible = torch.tensor([[True, False], [False, True]])[None, None]
    pooled = sparse(nn.Sequential(nn.MaxPool2d(3, stride=2, padding=1)))(image, visible)
    assert pooled.tolist() == [[[[-1, 0], [0, -6]]]]  # -6 lies in the first, visible token


def test_weights_statistics_and_mode_are_shared_with_the_dense_encoder():
    name = "residual 3D, batch norm"
    encoder = tiny_encoder(name)
    counterpart, images, visible = sparse(encoder), tiny_images(name), tiny_visible(name)
    before = [buffer.clone() for buffer in encoder.buffers()]
    counterpart(images, visible)[-1].sum().backward()
    assert not any(map(torch.equal, before, encoder.buffers()))
    assert all(weight.grad is not None for weight in encoder.parameters())
    encoder.eval()
    after = [buffer.clone() for buffer in encoder.buffers()]
    counterpart(images, visible)
    assert all(map(torch.equal, after, encoder.buffers()))


def test_a_copy_of_both_stays_a_pair():
    encoder = tiny_encoder("resnet")
    pair = copy.deepcopy({"encoder": encoder, "sparse": sparse(encoder)})
    assert pair["sparse"].encoder is pair["encoder"]
    nn.init.zeros_(next(pair["encoder"].parameters()))
    images, visible = tiny_images("resnet"), torch.ones_like(tiny_visible("resnet"))
    found = pair["sparse"](images, visible)
    torch.testing.assert_close(found, pair["encoder"](images))


@every_encoder
def test_a_step_never_waits_for_the_device(name):
    encoder, images, visible = sparse(tiny_encoder(name)), tiny_images(name), tiny_visible(name)
    with HostWaits() as waits:
        encoder(images, visible)[-1].sum().backward()
    assert waits.found == []


@every_encoder
def test_channels_stay_last(name):
    layout = torch.channels_last if len(ENCODERS[name][1]) == 2 else torch.channels_last_3d
    encoder = tiny_encoder(name).float().to(memory_format=layout)
    images = tiny_images(name).float().to(memory_format=layout)
    for features in sparse(encoder)(images, tiny_visible(name)):
        assert features.is_contiguous(memory_format=layout)


def test_bfloat16_is_near():
    name = "residual 3D, batch norm"
    encoder, images, visible = tiny_encoder(name).float(), tiny_images(name).float(), tiny_visible(name)
    expected = sparse(encoder)(images, visible)[-1]
    with torch.autocast("cpu", torch.bfloat16):
        found = sparse(encoder)(images, visible)[-1]
    found.sum().backward()
    assert (found - expected).square().mean() < 1e-3 * expected.square().mean()


def test_parts_that_would_mix_hidden_with_visible_are_refused():
    with pytest.raises(TypeError, match="AvgPool2d has no sparse counterpart"):
        sparse(nn.Sequential(nn.Conv2d(1, 1, 3), nn.AvgPool2d(2)))


@pytest.mark.parametrize(("side", "expected"), [(9, "111100001"), (5, "11001"), (3, "101")])
def test_positions_of_odd_maps_belong_to_the_token_they_start_in(side, expected):
    visible = torch.tensor([True, False, True])[None, None, :, None].expand(-1, -1, -1, 2)
    shown = visible_at(visible, (side, 4))
    assert "".join(str(int(value)) for value in shown[0, 0, :, 0]) == expected
    assert torch.equal(shown, shown[..., :1].expand_as(shown))


def test_tokens_finer_than_the_deepest_map_are_refused():
    with pytest.raises(ValueError, match=r"\(4, 4\) tokens on a map of \(2, 4\)"):
        visible_at(torch.ones(1, 1, 4, 4, dtype=torch.bool), (2, 4))
