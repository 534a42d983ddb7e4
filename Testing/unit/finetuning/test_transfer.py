"""Weights of one encoder into another: what fits is told, what does not is refused."""

import pytest
import torch

from MaskWhatMattersLib.errors import ModelFileError
from MaskWhatMattersLib.finetuning.classification import Classifier
from MaskWhatMattersLib.finetuning.transfer import read_encoder, transfer
from MaskWhatMattersLib.models import ModelCard, save_model
from MaskWhatMattersLib.networks.encoders import ResidualEncoderConfig, ViTConfig, make_encoder
from MaskWhatMattersLib.networks.transformer import interpolate_positions

VIT = ViTConfig(spatial_dims=2, image_size=(16, 16), patch_size=(4, 4), width=8, depth=2, heads=2, position="learned")
CONV = ResidualEncoderConfig(spatial_dims=2, widths=(4, 8), blocks=(1, 1))


def changed(config, **fields):
    return type(config).model_validate(config.model_dump() | fields)


def saved(folder, weights, config, architecture="encoder"):
    card = ModelCard(name="start", version="1", architecture=architecture, config=config, licence="your own data")
    save_model(weights, card, folder / "start.safetensors")
    return folder / "start.safetensors"


@pytest.mark.parametrize("config", [VIT, CONV], ids=["vit", "residual"])
def test_every_tensor_of_the_same_network_is_matched(config):
    first, second = make_encoder(config), make_encoder(config)
    report = transfer(second, first.state_dict(), "start")
    assert all(torch.equal(value, second.state_dict()[name]) for name, value in first.state_dict().items())
    assert set(report.matched) == set(first.state_dict())
    assert f"Encoder of start: {len(report.matched)} tensors matched, 0 missing, 0 unexpected." == report.text


def test_learned_positions_are_interpolated_to_another_grid():
    first, second = make_encoder(VIT), make_encoder(changed(VIT, image_size=(24, 16), drop_path=0.1))
    report = transfer(second, first.state_dict(), "start", config=VIT)
    assert report.interpolated == ("positions",)
    assert "1 interpolated (positions)" in report.text
    torch.testing.assert_close(second.positions, interpolate_positions(first.positions, (4, 4), (6, 4)))
    assert torch.equal(second.embedding.weight, first.embedding.weight)


def test_fixed_positions_need_nothing():
    fixed = changed(VIT, position="sincos")
    first, second = make_encoder(fixed), make_encoder(changed(fixed, image_size=(24, 16)))
    report = transfer(second, first.state_dict(), "start", config=fixed)
    assert report.interpolated == ()
    assert second(torch.randn(1, 1, 24, 16)).shape == (1, 24, 8)


@pytest.mark.parametrize("config", [VIT, CONV], ids=["vit", "residual"])
def test_equal_channels_give_what_the_one_channel_gave(config):
    first, second = make_encoder(config).eval(), make_encoder(changed(config, in_channels=3)).eval()
    report = transfer(second, first.state_dict(), "start", config=config)
    image = torch.randn(2, 1, 16, 16)
    grey, colour = first(image), second(image.expand(-1, 3, -1, -1))
    for one, three in zip(grey, colour, strict=True):
        torch.testing.assert_close(three, one, atol=1e-5, rtol=1e-4)
    assert "repeated" in report.text


@pytest.mark.parametrize(
    ("own", "said"),
    [
        (changed(VIT, width=16), "width is 8, wanted 16"),
        (changed(VIT, patch_size=(8, 8)), r"patch_size is \[4, 4\], wanted \[8, 8\]"),
        (changed(VIT, position="sincos"), "position is learned, wanted sincos"),
        (changed(VIT, depth=4, heads=4), "depth is 2, wanted 4; heads is 2, wanted 4"),
        (CONV, "it is a vit, wanted residual"),
    ],
)
def test_another_network_is_refused_with_all_that_differs(own, said):
    encoder = make_encoder(own)
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    with pytest.raises(ModelFileError, match=said):
        transfer(encoder, make_encoder(VIT).state_dict(), "start", config=VIT)
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())


def test_several_channels_cannot_become_others():
    three = changed(VIT, in_channels=3)
    with pytest.raises(ModelFileError, match="in_channels is 3, wanted 2"):
        transfer(make_encoder(changed(VIT, in_channels=2)), make_encoder(three).state_dict(), "start", config=three)


def test_missing_and_unexpected_tensors_are_listed():
    weights = dict(make_encoder(VIT).state_dict())
    weights["surplus"] = weights.pop("norm.bias")
    with pytest.raises(ModelFileError, match=r"1 missing: norm.bias; 1 unexpected: surplus"):
        transfer(make_encoder(VIT), weights, "start")


def test_the_encoder_of_a_pretrained_model_is_read(tmp_path):
    encoder = make_encoder(VIT)
    start = read_encoder(saved(tmp_path, encoder.state_dict(), VIT.model_dump(mode="json")))
    assert start.config == VIT
    assert start.card.name == "start"
    transfer(make_encoder(VIT), start.weights, "start")


def test_the_encoder_of_a_finetuned_model_is_read(tmp_path):
    network = Classifier(CONV, 3)
    config = {"encoder": CONV.model_dump(mode="json"), "classes": 3}
    start = read_encoder(saved(tmp_path, network.state_dict(), config, "classifier"))
    assert set(start.weights) == set(network.encoder.state_dict())
    transfer(make_encoder(CONV), start.weights, "start", config=start.config)


def test_a_model_of_another_kind_is_refused():
    with pytest.raises(ModelFileError, match=r"an encoder is wanted, found"):
        read_encoder("left-atrium")


def test_a_card_that_describes_no_encoder_is_refused(tmp_path):
    path = saved(tmp_path, {"norm": torch.zeros(2)}, {"kind": "vit", "width": "wide"})
    with pytest.raises(ModelFileError, match="width"):
        read_encoder(path)
