"""The segmentation network on a vision transformer."""

import pytest
import torch
from monai.networks import nets

from MaskWhatMattersLib.networks.encoders import ViTConfig
from MaskWhatMattersLib.networks.unetr import UNETR, stage_factors
from MaskWhatMattersLib.networks.vit import ViTEncoder


def network(size, patch, width=12, classes=3, features=4):
    config = ViTConfig(spatial_dims=len(size), image_size=size, patch_size=patch, width=width, depth=4, heads=2)
    return UNETR(ViTEncoder(config), classes, features)


@pytest.mark.parametrize(
    ("size", "patch"),
    [
        ((32, 32, 32), (16, 16, 16)),
        ((16, 16, 16), (8, 8, 8)),
        ((64, 64), (32, 32)),
        ((8, 32, 32), (4, 16, 16)),
        ((8, 16, 16), (1, 8, 8)),
        ((28, 42), (14, 14)),
        ((4, 4), (1, 1)),
    ],
)
def test_every_patch_size_gives_logits_at_full_resolution_and_every_weight_learns(size, patch):
    unetr = network(size, patch)
    logits = unetr(torch.randn(2, 1, *size))
    logits.sum().backward()
    assert logits.shape == (2, 3, *size)
    assert not [name for name, weight in unetr.named_parameters() if weight.grad is None]


def test_an_axis_with_a_smaller_patch_is_at_full_resolution_first():
    assert stage_factors((4, 16, 16)) == [(2, 2, 2), (2, 2, 2), (1, 2, 2), (1, 2, 2)]
    assert stage_factors((12, 12)) == [(3, 3), (2, 2), (2, 2)]


def test_the_decoder_at_16_voxels_is_as_large_as_that_of_monai():
    ours = network((16, 16, 16), (16, 16, 16), width=24, features=4).head
    monai = nets.UNETR(1, 3, (16, 16, 16), feature_size=4, hidden_size=24, mlp_dim=8, num_heads=2, res_block=True)
    theirs = [weight for name, weight in monai.named_parameters() if not name.startswith("vit.")]
    assert sum(weight.numel() for weight in ours.parameters()) == sum(weight.numel() for weight in theirs)


def test_another_image_size_than_in_training_works():
    assert network((16, 16), (8, 8))(torch.randn(1, 1, 24, 8)).shape == (1, 3, 24, 8)


def test_the_encoder_is_told_apart_from_the_head_by_name():
    names = {name.split(".")[0] for name in network((16, 16), (8, 8)).state_dict()}
    assert names == {"encoder", "head"}
