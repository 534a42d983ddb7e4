"""Pictures of a reconstruction: what was visible stays, what was hidden is the decoder's."""

from __future__ import annotations

import pytest
import torch

from MaskWhatMattersLib.networks.patches import patchify
from MaskWhatMattersLib.pretraining.config import TargetConfig
from MaskWhatMattersLib.pretraining.mae import MAE
from MaskWhatMattersLib.pretraining.reconstruction import reconstruction
from unit.pretraining.tiny_masked import SIZES, tiny_batch, tiny_config


@pytest.mark.parametrize(("size", "patch_size"), SIZES)
@pytest.mark.parametrize("normalized", [True, False])
def test_visible_tokens_stay_and_hidden_ones_come_from_the_decoder(size, patch_size, normalized):
    config = tiny_config("mae", size, patch_size, channels=2)
    batch, hidden = tiny_batch(config), tiny_batch(config).hidden.flatten(1)
    original = patchify(batch.images, patch_size)
    shown = reconstruction(torch.ones_like(original), batch, TargetConfig(normalized=normalized))
    result = patchify(shown.reconstructed, patch_size)
    mean, deviation = original.mean(-1, keepdim=True), original.std(-1, keepdim=True, correction=0)
    expected = (mean + deviation).expand_as(original) if normalized else torch.ones_like(original)
    assert torch.equal(shown.original, batch.images)
    assert torch.equal(result[~hidden], original[~hidden])
    torch.testing.assert_close(result[hidden], expected[hidden])


def test_hidden_tokens_are_as_dark_as_the_darkest_voxel_of_their_image():
    config = tiny_config("mae")
    batch, hidden = tiny_batch(config), tiny_batch(config).hidden.flatten(1)
    masked = patchify(reconstruction(torch.zeros(2, 8, 64), batch, TargetConfig()).masked, (4, 4, 4))
    for image in range(2):
        assert (masked[image, hidden[image]] == batch.images[image].min()).all()
    assert torch.equal(masked[~hidden], patchify(batch.images, (4, 4, 4))[~hidden])


def test_voxels_that_are_not_valid_stay_as_they_are():
    config = tiny_config("mae")
    batch = tiny_batch(config, (8, 8))
    valid = torch.rand(batch.valid.shape) < 0.5
    shown = reconstruction(torch.zeros(2, 8, 64), batch._replace(valid=valid), TargetConfig(normalized=False))
    assert torch.equal(shown.reconstructed, torch.where(valid[:, None], 0, batch.images))


def test_a_mae_shows_what_it_thinks_without_learning_from_it():
    config = tiny_config("mae")
    batch = tiny_batch(config, (6, 1))
    shown = MAE(config).reconstruct(batch)
    assert all(images.shape == batch.images.shape and not images.requires_grad for images in shown[:3])
    assert shown.reconstructed.isfinite().all()
