"""SimMIM: all tokens enter the encoder, hidden ones without their content."""

from __future__ import annotations

import pytest
import torch

from host_waits import HostWaits
from MaskWhatMattersLib.networks.encoders import ResidualEncoderConfig
from MaskWhatMattersLib.pretraining.config import PretrainConfig
from MaskWhatMattersLib.pretraining.simmim import SimMIM
from unit.pretraining.tiny_masked import SIZES, tiny_batch, tiny_config, with_other_voxels


def tiny_simmim(config: PretrainConfig) -> SimMIM:
    torch.manual_seed(0)
    return SimMIM(config).eval()


def test_with_nothing_hidden_the_encoder_sees_the_image():
    config = tiny_config("simmim")
    simmim, batch = tiny_simmim(config), tiny_batch(config, (0, 0))
    encoded = []
    simmim.encoder.register_forward_hook(lambda module, args, tokens: encoded.append(tokens))
    simmim.reconstruct(batch)
    torch.testing.assert_close(encoded[0], simmim.encoder(batch.images))


def test_hidden_voxels_change_nothing():
    config = tiny_config("simmim")
    simmim, batch = tiny_simmim(config), tiny_batch(config)
    other = with_other_voxels(batch, batch.hidden)
    assert torch.equal(features(simmim, batch), features(simmim, other))
    assert not torch.equal(features(simmim, batch), features(simmim, with_other_voxels(batch, ~batch.hidden)))


def features(simmim, batch):
    return simmim.encoder(batch.images, mask=batch.hidden.flatten(1), mask_token=simmim.mask_token)


def test_every_weight_learns():
    config = tiny_config("simmim")
    simmim = tiny_simmim(config).train()
    simmim(tiny_batch(config, (6, 3))).total.backward()
    for name, weight in simmim.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.isfinite().all(), name
        assert weight.grad.any(), name


def test_whatever_the_decoder_of_other_methods_it_decodes_with_one_linear_layer():
    simmim = tiny_simmim(tiny_config("simmim", depth=8))
    names = [name for name, _ in simmim.named_parameters() if not name.startswith("encoder.")]
    assert names == ["mask_token", "head.weight", "head.bias"]


@pytest.mark.parametrize(("size", "patch_size"), SIZES)
def test_any_patch_in_2d_and_3d(size, patch_size):
    config = tiny_config("simmim", size, patch_size, channels=2)
    losses = tiny_simmim(config)(tiny_batch(config, (1, 7)))
    assert losses.total.isfinite()
    assert float(losses.parts["hidden"]) == 0.5


def test_a_step_never_waits_for_the_device():
    config = tiny_config("simmim")
    simmim, batch = tiny_simmim(config).train(), tiny_batch(config)
    with HostWaits() as waits:
        simmim(batch).total.backward()
    assert waits.found == []


def test_a_convolutional_encoder_is_refused():
    config = tiny_config("simmim").model_copy(update={"encoder": ResidualEncoderConfig()})
    with pytest.raises(ValueError, match="kind vit; found residual"):
        SimMIM(config)
