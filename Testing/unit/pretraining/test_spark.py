"""SparK: reconstructs hidden tokens from visible ones with any convolutional encoder."""

from __future__ import annotations

import pytest
import torch

from host_waits import HostWaits
from MaskWhatMattersLib.pretraining.methods import make_method
from MaskWhatMattersLib.pretraining.spark import SparK
from unit.pretraining.tiny_convolutional import ENCODERS, tiny_config
from unit.pretraining.tiny_masked import tiny_batch, with_other_voxels
from unit.pretraining.tiny_masked import tiny_config as tiny_transformer

every_encoder = pytest.mark.parametrize("name", ENCODERS)


def tiny_spark(name, hidden=0.6, **more):
    torch.manual_seed(0)
    config = tiny_config("spark", name, **more)
    count = round(hidden * torch.Size(config.grid).numel())
    spark = make_method(config)
    assert isinstance(spark, SparK)
    return spark, tiny_batch(config, (count, count))


def hidden_voxels(spark, batch):
    hidden = batch.hidden
    for axis, patch in enumerate(spark.patch_size, start=1):
        hidden = hidden.repeat_interleave(patch, axis)
    return hidden


@every_encoder
def test_every_weight_learns(name):
    spark, batch = tiny_spark(name)
    spark(batch).total.backward()
    for weight_name, weight in spark.named_parameters():
        assert weight.grad.isfinite().all(), weight_name
        assert weight.grad.any(), weight_name


@every_encoder
def test_hidden_voxels_change_nothing_but_the_target(name):
    spark, batch = tiny_spark(name)
    other = with_other_voxels(batch, batch.hidden)
    assert torch.equal(spark.predict(other), spark.predict(batch))
    assert not torch.equal(spark.predict(with_other_voxels(batch, ~batch.hidden)), spark.predict(batch))
    assert spark(other).total != spark(batch).total


@every_encoder
@pytest.mark.parametrize("normalized", [True, False])
def test_only_what_is_hidden_and_valid_is_compared(name, normalized):
    spark, batch = tiny_spark(name, target={"normalized": normalized})
    batch.valid[:, : batch.valid.shape[1] // 2] = False
    voxels = []
    spark.decoder.register_forward_hook(lambda module, args, out: out.retain_grad() or voxels.append(out))
    spark(batch).total.backward()
    assert torch.equal(voxels[0].grad.any(1), hidden_voxels(spark, batch) & batch.valid)


@every_encoder
def test_it_learns(name):
    spark, batch = tiny_spark(name)
    optimizer = torch.optim.Adam(spark.parameters(), 3e-3)
    losses = []
    for _ in range(12):
        losses.append(spark(batch).total)
        losses[-1].backward()
        optimizer.step()
        optimizer.zero_grad()
    assert losses[-1] < 0.9 * losses[0]


@every_encoder
def test_pictures_keep_what_was_visible(name):
    spark, batch = tiny_spark(name)
    shown = spark.eval().reconstruct(batch)
    changed = (shown.reconstructed != batch.images).all(1)
    assert torch.equal(changed, hidden_voxels(spark, batch))


@every_encoder
def test_a_step_never_waits_for_the_device(name):
    spark, batch = tiny_spark(name)
    with HostWaits() as waits:
        spark(batch).total.backward()
    assert waits.found == []


def test_its_weights_are_those_of_the_dense_encoder_and_what_reconstructs():
    spark, _ = tiny_spark("resnet")
    assert {name.split(".")[0] for name, _ in spark.named_parameters()} == {"encoder", "densify", "decoder"}
    assert {name.split(".")[0] for name in spark.state_dict()} == {"encoder", "densify", "decoder"}


def test_a_transformer_is_refused():
    with pytest.raises(ValueError, match="kind resnet or residual; found vit"):
        SparK(tiny_transformer("mae"))
