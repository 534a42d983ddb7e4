"""Mask2Former on encoders of every kind."""

import pytest
import torch

from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.networks.encoders import ResidualEncoderConfig, ResNetConfig, ViTConfig, make_encoder
from MaskWhatMattersLib.networks.mask2former import Mask2FormerNetwork, SetLoss

ENCODERS = {
    "three maps": ResidualEncoderConfig(spatial_dims=2, widths=(8, 16, 16), blocks=(1, 1, 1)),
    "five maps": ResidualEncoderConfig(spatial_dims=2, widths=(8, 8, 8, 16, 16), blocks=(1,) * 5),
    "resnet": ResNetConfig(widths=(8, 16, 16, 16), blocks=(1, 1, 1, 1), stem=8),
    "vit": ViTConfig(spatial_dims=2, image_size=(32, 32), patch_size=(8, 8), width=24, depth=4, heads=2),
}
STRIDES = {"three maps": (1, 2, 4), "five maps": (2, 4, 8, 16), "resnet": (4, 8, 16, 32), "vit": (2, 4, 8, 16)}


def network(config=ENCODERS["three maps"], **changes):
    torch.manual_seed(0)
    settings = {"queries": 4, "features": 32, "layers": 1} | changes
    return Mask2FormerNetwork(make_encoder(config), 1, **settings)


@pytest.mark.parametrize("name", ENCODERS)
def test_every_layer_answers_at_the_finest_used_stride_and_every_weight_learns(name):
    made = network(ENCODERS[name], layers=2)
    answers = made(torch.randn(2, 1, 32, 32))
    sum(answer.classes.sum() + answer.masks.sum() for answer in answers).backward()
    assert made.pyramid.strides == STRIDES[name]
    side = 32 // STRIDES[name][0]
    assert [answer.classes.shape for answer in answers] == [(2, 4, 2)] * 3
    assert answers[-1].masks.shape == (2, 4, side, side)
    assert not [key for key, weight in made.named_parameters() if weight.grad is None]


def test_the_encoder_is_in_the_model_once():
    names = list(network(ENCODERS["vit"]).state_dict())
    assert {name.split(".")[0] for name in names} == {"encoder", "pyramid", "head"}
    assert not any("encoder.blocks" in name and not name.startswith("encoder.") for name in names)


def test_the_loss_is_small_for_the_right_answer_and_large_for_a_wrong_one():
    made = network()
    answers = made(torch.randn(1, 1, 32, 32))
    mask = torch.zeros(1, 32, 32)
    mask[:, 8:20, 4:16] = 1
    right = answers[-1]._replace(
        masks=torch.cat([40 * mask - 20] + [torch.full((1, 32, 32), -20.0)] * 3)[None],
        classes=torch.tensor([[[9.0, -9], [-9, 9], [-9, 9], [-9, 9]]]),
    )
    wrong = right._replace(masks=-right.masks)
    loss = SetLoss(made, (32, 32))
    objects = ([mask], [torch.zeros(1, dtype=torch.long)])
    assert loss([right], *objects).total < 3  # points are drawn where the outline is unsure, at its border
    assert loss([wrong], *objects).total > 30
    assert set(loss([right], *objects).parts) == {"class_loss", "mask_loss", "dice_loss"}


def test_settings_that_cannot_work_are_refused():
    with pytest.raises(InputError, match="multiple of 32; found 40"):
        network(features=40)
    with pytest.raises(InputError, match="three stages or more; found 2"):
        network(ResidualEncoderConfig(spatial_dims=2, widths=(8, 16), blocks=(1, 1)))
