"""MAE: what the encoder sees, what the loss counts, and that nothing waits for the device."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from host_waits import HostWaits
from MaskWhatMattersLib.networks.encoders import ResidualEncoderConfig
from MaskWhatMattersLib.pretraining.batch import MaskedBatch
from MaskWhatMattersLib.pretraining.config import PretrainConfig
from MaskWhatMattersLib.pretraining.mae import MAE
from unit.pretraining.tiny_masked import SIZES, tiny_batch, tiny_config, with_other_voxels

RELEVANCE = {
    "masking": {"kind": "relevance", "inside": 0.75, "outside": 0.25},
    "region": {"source": "labels"},
}
"""6 of 8 tokens are seen at most, and 2 at least."""


def tiny_mae(config: PretrainConfig | None = None, **settings: object) -> MAE:
    torch.manual_seed(0)
    return MAE(config or tiny_config("mae", **settings)).eval()


class Encoded:
    """What the encoder of a MAE was given and gave back."""

    def __init__(self, mae: MAE) -> None:
        mae.encoder.register_forward_hook(self._keep, with_kwargs=True)

    def _keep(self, module: object, args: tuple[Tensor, ...], kwargs: object, tokens: Tensor) -> None:
        if len(args) == 3:  # called by the MAE
            _, self.kept, self.seen = args
            self.tokens = tokens

    def visible(self, image: int) -> tuple[Tensor, Tensor]:
        """Which tokens of an image were seen, and their features."""
        seen = slice(None) if self.seen is None else self.seen[image]
        return self.kept[image, seen], self.tokens[image, seen]


def test_with_nothing_hidden_the_encoder_sees_every_token():
    mae, config = tiny_mae(), tiny_config("mae")
    encoded, batch = Encoded(mae), tiny_batch(config, (0, 0))
    mae.reconstruct(batch)
    for image in range(2):
        kept, tokens = encoded.visible(image)
        assert kept.tolist() == list(range(8))
        torch.testing.assert_close(tokens, mae.encoder(batch.images)[image])


@pytest.mark.parametrize("settings", [{}, RELEVANCE])
def test_visible_tokens_are_encoded_as_if_there_were_no_others(settings):
    config = tiny_config("mae", **settings)
    mae, batch = tiny_mae(config), tiny_batch(config, (6, 4) if settings else (6, 6))
    encoded = Encoded(mae)
    mae(batch)
    found = [encoded.visible(image) for image in range(2)]
    for image, (kept, tokens) in enumerate(found):
        assert kept.tolist() == (~batch.hidden[image].flatten()).nonzero().flatten().tolist()
        torch.testing.assert_close(tokens, mae.encoder(batch.images[image : image + 1], kept[None])[0])


@pytest.mark.parametrize("settings", [{}, RELEVANCE])
@pytest.mark.parametrize("depth", [0, 1])
def test_hidden_voxels_change_neither_visible_features_nor_any_prediction(settings, depth):
    config = tiny_config("mae", depth=depth, **settings)
    mae, batch = tiny_mae(config), tiny_batch(config, (6, 4) if settings else (6, 6))
    other = with_other_voxels(batch, batch.hidden)
    assert not torch.equal(other.images, batch.images)
    torch.testing.assert_close(predicted(mae, batch), predicted(mae, other), rtol=0, atol=0)


@pytest.mark.parametrize("depth", [0, 1])
def test_every_visible_token_changes_the_prediction_of_hidden_ones(depth):
    config = tiny_config("mae", depth=depth)
    mae, batch = tiny_mae(config), tiny_batch(config)
    for token in (~batch.hidden[0].flatten()).nonzero().flatten():
        one = torch.zeros(2, 8, dtype=torch.bool)
        one[0, token] = True
        other = with_other_voxels(batch, one.unflatten(1, config.grid))
        changed = (predicted(mae, batch) - predicted(mae, other)).abs().amax(-1) > 1e-6
        assert changed[0, batch.hidden[0].flatten()].all()
        assert not changed[1].any()


def test_images_with_fewer_visible_tokens_are_treated_as_if_alone():
    config = tiny_config("mae", **RELEVANCE)
    mae, batch = tiny_mae(config), tiny_batch(config, (6, 2, 4))
    together = predicted(mae, batch)
    for image in range(3):
        alone = MaskedBatch(*(part[image : image + 1] for part in batch))
        torch.testing.assert_close(predicted(mae, alone)[0], together[image])


@pytest.mark.parametrize("depth", [0, 1, 2, 4, 8])
def test_every_decoder_teaches_every_weight(depth):
    config = tiny_config("mae", depth=depth)
    mae = tiny_mae(config).train()
    mae(tiny_batch(config)).total.backward()
    assert len(mae.decoder.blocks) == depth
    for name, weight in mae.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.isfinite().all(), name
        assert weight.grad.any(), name


@pytest.mark.parametrize(("size", "patch_size"), SIZES)
@pytest.mark.parametrize("channels", [1, 3])
def test_any_patch_in_2d_and_3d(size, patch_size, channels):
    config = tiny_config("mae", size, patch_size, channels=channels)
    batch = tiny_batch(config)
    losses = tiny_mae(config)(batch)
    assert losses.total.isfinite()
    assert float(losses.parts["hidden"]) == 0.75


def test_it_learns_to_reconstruct():
    config = tiny_config("mae", target={"normalized": False})
    mae, batch = tiny_mae(config).train(), tiny_batch(config)
    optimizer = torch.optim.AdamW(mae.parameters(), lr=2e-2)
    first = mae(batch).total.detach()
    for _ in range(30):
        mae(batch).total.backward()
        optimizer.step()
        optimizer.zero_grad()
    assert mae(batch).total < 0.5 * first


def test_padded_images_give_a_loss_without_the_padding():
    config = tiny_config("mae")
    mae, batch = tiny_mae(config), tiny_batch(config)
    valid = batch.valid.clone()
    valid[0], valid[1, :, :, 3:] = False, False
    padded = batch._replace(valid=valid)
    other = padded._replace(images=torch.where(valid[:, None] | ~hidden_voxels(batch), batch.images, 50.0))
    assert mae(padded).total.isfinite()
    torch.testing.assert_close(mae(padded).total, mae(other).total)


@pytest.mark.parametrize("settings", [{}, RELEVANCE, {"depth": 0}])
def test_a_step_never_waits_for_the_device(settings):
    config = tiny_config("mae", **settings)
    mae, batch = tiny_mae(config).train(), tiny_batch(config)
    with HostWaits() as waits:
        mae(batch).total.backward()
    assert waits.found == []


@pytest.mark.parametrize("settings", [{}, RELEVANCE, {"depth": 0}])
def test_half_precision_gives_nearly_the_same_loss(settings):
    config = tiny_config("mae", **settings)
    mae, batch = tiny_mae(config), tiny_batch(config)
    with torch.autocast("cpu", torch.bfloat16):
        rough = mae(batch).total
    assert rough.dtype == torch.float32
    torch.testing.assert_close(rough, mae(batch).total, rtol=0.02, atol=0)


def test_a_convolutional_encoder_is_refused():
    config = tiny_config("mae").model_copy(update={"encoder": ResidualEncoderConfig()})
    with pytest.raises(ValueError, match="kind vit; found residual"):
        MAE(config)


def predicted(mae: MAE, batch: MaskedBatch) -> Tensor:
    """Output of the decoder in a training step, [B, N, P * C]."""
    found: list[Tensor] = []
    handle = mae.decoder.register_forward_hook(lambda module, args, output: found.append(output.detach()))
    mae(batch)
    handle.remove()
    return found[0]


def hidden_voxels(batch: MaskedBatch) -> Tensor:
    """True for the voxels of hidden tokens, [B, 1, *spatial]."""
    marked = with_other_voxels(batch._replace(images=torch.zeros_like(batch.images)), batch.hidden)
    return marked.images.bool()
