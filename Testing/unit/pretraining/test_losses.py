"""The reconstruction loss: hidden tokens alone, valid voxels alone, raw and normalized targets."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from MaskWhatMattersLib.networks.patches import patchify, unpatchify
from MaskWhatMattersLib.pretraining.batch import MaskedBatch
from MaskWhatMattersLib.pretraining.config import TargetConfig
from MaskWhatMattersLib.pretraining.losses import predicted_intensity, reconstruction_loss

PATCH = (2, 2, 4)
TARGETS = [TargetConfig(normalized=normalized, norm=norm) for normalized in (True, False) for norm in ("l1", "l2")]


def some_batch(channels: int = 1) -> MaskedBatch:
    """2 images of 8 tokens with 16 voxels each, some hidden; everything valid."""
    torch.manual_seed(0)
    images = torch.randn(2, channels, 4, 4, 8)
    return MaskedBatch(images, torch.rand(2, 2, 2, 2) < 0.5, torch.ones(2, 4, 4, 8, dtype=torch.bool))


def voxels_of(batch: MaskedBatch) -> Tensor:
    return patchify(batch.images, PATCH)


def loss_of(prediction: Tensor, batch: MaskedBatch, target: TargetConfig) -> Tensor:
    return reconstruction_loss(prediction, batch.images, batch, target)


def literal_loss(prediction: Tensor, batch: MaskedBatch, target: TargetConfig) -> float:
    """Token by token and voxel by voxel, as the paper says it."""
    valid = patchify(batch.valid[:, None].expand_as(batch.images), PATCH)
    found = []
    for image, hidden in enumerate(batch.hidden.flatten(1)):
        for token in hidden.nonzero().flatten().tolist():
            chosen = valid[image, token]
            if chosen.any():
                true = voxels_of(batch)[image, token][chosen].double()
                if target.normalized:
                    true = (true - true.mean()) / (true.var(correction=0) + 1e-6).sqrt()
                difference = (prediction[image, token][chosen].double() - true).abs()
                found.append(float((difference if target.norm == "l1" else difference**2).mean()))
    return sum(found) / len(found) if found else 0.0


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("channels", [1, 3])
def test_the_loss_is_the_one_that_is_written_down(target, channels):
    batch = some_batch(channels)
    valid = torch.rand(2, 4, 4, 8) < 0.7
    valid[0, :2, :2, :4] = False  # a token without valid voxels
    batch = batch._replace(valid=valid)
    prediction = torch.randn_like(voxels_of(batch))
    assert float(loss_of(prediction, batch, target)) == pytest.approx(literal_loss(prediction, batch, target), rel=1e-5)


@pytest.mark.parametrize("target", TARGETS)
def test_only_hidden_tokens_count(target):
    batch = some_batch()
    prediction = torch.randn_like(voxels_of(batch)).requires_grad_()
    loss_of(prediction, batch, target).backward()
    gradients = prediction.grad.abs().amax(-1)
    assert torch.equal(gradients > 0, batch.hidden.flatten(1))


@pytest.mark.parametrize("target", TARGETS)
def test_invalid_voxels_count_neither_in_the_difference_nor_in_the_target(target):
    batch = some_batch()
    batch = batch._replace(valid=torch.rand(2, 4, 4, 8) < 0.5)
    prediction = torch.randn_like(voxels_of(batch)).requires_grad_()
    loss = loss_of(prediction, batch, target)
    loss.backward()
    valid = patchify(batch.valid[:, None], PATCH)
    assert not prediction.grad[~valid].any()
    elsewhere = batch._replace(images=torch.where(batch.valid[:, None], batch.images, 1e4))
    torch.testing.assert_close(loss_of(prediction, elsewhere, target), loss)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("nothing", ["valid", "hidden"])
def test_nothing_to_compare_gives_zero_with_finite_gradients(target, nothing):
    batch = some_batch()
    batch = batch._replace(**{nothing: torch.zeros_like(getattr(batch, nothing))})
    prediction = torch.randn_like(voxels_of(batch)).requires_grad_()
    loss = loss_of(prediction, batch, target)
    loss.backward()
    assert float(loss.detach()) == 0
    assert not prediction.grad.any()


def test_a_token_with_few_valid_voxels_weighs_as_much_as_any_other():
    batch = some_batch()
    hidden = torch.zeros_like(batch.hidden)
    hidden[0, 0, 0] = True  # two tokens
    valid = batch.valid.clone()
    valid[0, :2, :2, :4] = False
    valid[0, 0, 0, 0] = True  # one voxel of the first
    prediction = voxels_of(batch).clone()
    prediction[0, 0] += 2
    loss = loss_of(prediction, MaskedBatch(batch.images, hidden, valid), TargetConfig(normalized=False, norm="l1"))
    assert float(loss) == pytest.approx(1, rel=1e-5)


def test_a_token_of_one_value_is_zero_throughout_when_normalized():
    batch = some_batch()._replace(images=torch.full((2, 1, 4, 4, 8), 7.0))
    assert float(loss_of(torch.zeros(2, 8, 16), batch, TargetConfig())) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("target", TARGETS)
def test_the_perfect_prediction_costs_nothing_and_is_the_image(target):
    batch = some_batch(channels=2)
    true = voxels_of(batch)
    if target.normalized:
        true = (true - true.mean(-1, keepdim=True)) / (true.var(-1, correction=0, keepdim=True) + 1e-6).sqrt()
    assert float(loss_of(true, batch, target)) == pytest.approx(0, abs=1e-6)
    intensity = predicted_intensity(true, batch.images, batch, target)
    torch.testing.assert_close(unpatchify(intensity, PATCH, (2, 2, 2)), batch.images)


def test_a_prediction_in_half_precision_is_compared_in_full():
    batch = some_batch()
    prediction = torch.randn_like(voxels_of(batch)).bfloat16()
    loss = loss_of(prediction, batch, TargetConfig())
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, loss_of(prediction.float(), batch, TargetConfig()))


def test_pictures_have_a_loss_as_well():
    images, hidden = torch.randn(1, 3, 8, 8), torch.tensor([[[True, False], [False, True]]])
    batch = MaskedBatch(images, hidden, torch.ones(1, 8, 8, dtype=torch.bool))
    loss = reconstruction_loss(patchify(images, (4, 4)) + 1, images, batch, TargetConfig(normalized=False))
    assert float(loss) == pytest.approx(1, rel=1e-5)
