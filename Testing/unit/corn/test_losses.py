"""Voxel losses against literal versions; not here: what the methods make of them."""

from __future__ import annotations

import pytest
import torch
from torch.autograd import gradcheck

from MaskWhatMattersLib.corn.losses import (
    class_log_odds,
    cross_pseudo_loss,
    dice_and_cross_entropy,
    foreground_log_odds,
    probability_distance,
    sharpened_consistency,
    soft_dice_loss,
    voxel_cross_entropy,
)
from unit.corn import literal_reference as literal

SHAPES = [(2, 2, 3, 4), (2, 3, 3, 2, 2)]


def logits(shape, seed=0, requires_grad=False):
    generator = torch.Generator().manual_seed(seed)
    return (2 * torch.randn(shape, generator=generator, dtype=torch.float64)).requires_grad_(requires_grad)


def labels(shape, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, shape[1], (shape[0], *shape[2:]), generator=generator)


@pytest.mark.parametrize("shape", SHAPES)
def test_log_odds_are_those_of_the_softmax(shape):
    probabilities = logits(shape).softmax(1)
    torch.testing.assert_close(class_log_odds(logits(shape)), torch.logit(probabilities))
    torch.testing.assert_close(foreground_log_odds(logits(shape)), torch.logit(probabilities)[:, 1:])


@pytest.mark.parametrize("shape", SHAPES)
def test_dice_is_the_literal_one(shape):
    weight = torch.rand(shape[0], *shape[2:], dtype=torch.float64)
    plain = soft_dice_loss(foreground_log_odds(logits(shape)), labels(shape))
    weighted = soft_dice_loss(foreground_log_odds(logits(shape)), labels(shape), weight)
    assert plain.item() == pytest.approx(literal.dice_loss(logits(shape), labels(shape)))
    assert weighted.item() == pytest.approx(literal.dice_loss(logits(shape), labels(shape), weight))


@pytest.mark.parametrize("shape", SHAPES)
def test_cross_entropy_is_the_literal_one(shape):
    found = voxel_cross_entropy(logits(shape), labels(shape))
    assert found.item() == pytest.approx(literal.cross_entropy(logits(shape), labels(shape)))


def test_a_weight_of_zero_takes_voxels_out_of_the_cross_entropy():
    shape = SHAPES[0]
    weight = torch.zeros(shape[0], *shape[2:], dtype=torch.float64)
    weight[0] = 1
    found = voxel_cross_entropy(logits(shape), labels(shape), weight)
    assert found.item() == pytest.approx(literal.cross_entropy(logits(shape)[:1], labels(shape)[:1]))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("detach", [True, False])
def test_sharpened_consistency_is_the_literal_one(shape, detach):
    main, auxiliary = logits(shape), logits(shape, 2)
    found = sharpened_consistency(main, auxiliary, 0.4, detach=detach)
    assert found.item() == pytest.approx(literal.sharpened_consistency(main, auxiliary, 0.4))


def test_detached_sharpened_targets_get_no_gradient_and_released_ones_do():
    gradients = {}
    for detach in (True, False):
        main, auxiliary = logits((1, 2, 4), requires_grad=True), logits((1, 2, 4), 2, requires_grad=True)
        sharpened_consistency(main, auxiliary, 0.4, detach=detach).backward()
        gradients[detach] = main.grad
    p, target = main.detach().softmax(1)[:, 1], (foreground_log_odds(auxiliary.detach())[:, 0] / 0.4).sigmoid()
    by_hand = 2 * (p - target) * p * (1 - p) / p.numel()
    torch.testing.assert_close(gradients[True][:, 1], by_hand)
    assert not torch.allclose(gradients[False][:, 1], by_hand)


@pytest.mark.parametrize("shape", SHAPES)
def test_cross_pseudo_loss_is_the_literal_one(shape):
    main, auxiliary = logits(shape), logits(shape, 2)
    expected = literal.cross_entropy(main, auxiliary.argmax(1)) + literal.cross_entropy(auxiliary, main.argmax(1))
    assert cross_pseudo_loss(main, auxiliary).item() == pytest.approx(expected)


@pytest.mark.parametrize("shape", SHAPES)
def test_probability_distance_is_the_mean_squared_difference(shape):
    expected = (logits(shape).softmax(1) - logits(shape, 2).softmax(1)).square().mean()
    torch.testing.assert_close(probability_distance(logits(shape), logits(shape, 2)), expected)


@pytest.mark.parametrize("shape", SHAPES)
def test_gradients_are_right(shape):
    main, auxiliary = logits(shape, requires_grad=True), logits(shape, 2, requires_grad=True)
    truth = labels(shape)
    assert gradcheck(lambda x: soft_dice_loss(foreground_log_odds(x), truth), (main,))
    assert gradcheck(lambda x: voxel_cross_entropy(x, truth), (main,))
    assert gradcheck(lambda x: dice_and_cross_entropy(x, truth), (main,))
    assert gradcheck(lambda x: probability_distance(x, auxiliary), (main,))
    assert gradcheck(lambda x, y: sharpened_consistency(x, y, 0.4, detach=False), (main, auxiliary))
    assert gradcheck(cross_pseudo_loss, (main, auxiliary))


def test_bf16_logits_are_compared_in_float32():
    shape = SHAPES[0]
    found = voxel_cross_entropy(logits(shape).bfloat16(), labels(shape))
    assert found.dtype == torch.float32
