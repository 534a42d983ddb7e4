"""The vision transformer: visible tokens alone, fillers, mask tokens, any patch, 2D and 3D."""

from __future__ import annotations

import pytest
import torch

from MaskWhatMattersLib.networks.encoders import ViTConfig, make_encoder
from MaskWhatMattersLib.networks.patches import patchify, unpatchify
from MaskWhatMattersLib.networks.vit import ViTEncoder


def tiny(
    image_size: tuple[int, ...] = (8, 8, 8), patch_size: tuple[int, ...] = (4, 4, 4), **more: object
) -> ViTEncoder:
    torch.manual_seed(0)
    shape = {"image_size": image_size, "patch_size": patch_size, "spatial_dims": len(image_size)}
    return ViTEncoder(ViTConfig(**{"width": 8, "depth": 2, "heads": 2, **shape, **more})).eval()


@pytest.mark.parametrize(
    ("image_size", "patch_size"),
    [
        ((16, 32), (8, 8)),
        ((16, 32), (16, 16)),
        ((32, 64), (32, 32)),
        ((16, 16, 24), (8, 8, 8)),
        ((16, 32, 16), (16, 16, 16)),
        ((32, 32, 32), (32, 32, 32)),
        ((4, 16, 16), (2, 8, 16)),
    ],
)
@pytest.mark.parametrize("position", ["sincos", "learned"])
def test_one_code_takes_any_patch_in_2d_and_3d(image_size, patch_size, position):
    encoder = tiny(image_size, patch_size, position=position, in_channels=2)
    images = torch.randn(2, 2, *image_size)
    assert encoder(images).shape == (2, encoder.config.tokens, 8)
    assert [features.shape for features in encoder.features(images)] == [(2, 8, *encoder.config.grid)] * 4


def test_the_default_is_a_vit_b():
    with torch.device("meta"):
        encoder = make_encoder(ViTConfig())
    assert sum(weight.numel() for weight in encoder.parameters()) == pytest.approx(88.2e6, rel=1e-3)


def test_all_tokens_kept_in_any_order_are_the_tokens_of_the_whole_image():
    encoder, images = tiny(), torch.randn(2, 1, 8, 8, 8)
    order = torch.stack([torch.randperm(8), torch.randperm(8)])
    rows = order[..., None].expand(-1, -1, 8)
    torch.testing.assert_close(encoder(images, order), encoder(images).gather(1, rows))


def test_a_token_that_is_not_kept_changes_nothing():
    encoder, images = tiny(), torch.randn(2, 1, 8, 8, 8)
    keep = torch.tensor([[1, 2, 5], [0, 3, 7]])
    tokens = patchify(images, (4, 4, 4))
    tokens[0, [0, 3, 4, 6, 7]] = 9
    changed = unpatchify(tokens, (4, 4, 4), (2, 2, 2))
    assert torch.equal(encoder(images, keep), encoder(changed, keep))


def test_kept_tokens_depend_on_their_place_alone_and_not_on_their_number_in_the_row():
    encoder, images = tiny(), torch.randn(1, 1, 8, 8, 8)
    there, back = encoder(images, torch.tensor([[1, 6]])), encoder(images, torch.tensor([[6, 1]]))
    torch.testing.assert_close(there, back.flip(1))


def test_fillers_change_nothing():
    encoder, images = tiny(), torch.randn(2, 1, 8, 8, 8)
    keep = torch.tensor([[1, 2, 5], [0, 3, 7]])
    filled = torch.tensor([[4, 1, 2, 5], [0, 3, 7, 6]])
    seen = torch.tensor([[False, True, True, True], [True, True, True, False]])
    result = encoder(images, filled, seen)
    torch.testing.assert_close(result[0, 1:], encoder(images, keep)[0])
    torch.testing.assert_close(result[1, :3], encoder(images, keep)[1])


def test_of_a_masked_token_only_the_place_is_known():
    encoder, mask_token = tiny(), torch.randn(8)
    images = torch.randn(1, 1, 8, 8, 8)
    mask = torch.zeros(1, 8, dtype=torch.bool)
    mask[0, 3] = True
    changed = images.clone()
    changed[:, :, :4, 4:, 4:] += 1
    result = encoder(images, mask=mask, mask_token=mask_token)
    assert torch.equal(result, encoder(changed, mask=mask, mask_token=mask_token))
    assert not torch.allclose(result, encoder(images, mask=mask, mask_token=-mask_token))
    assert not torch.allclose(encoder(images), encoder(changed))


def test_a_mask_without_its_token_is_refused():
    with pytest.raises(ValueError, match="mask and mask_token"):
        tiny()(torch.randn(1, 1, 8, 8, 8), mask=torch.zeros(1, 8, dtype=torch.bool))


@pytest.mark.parametrize(("depth", "taps"), [(1, (1, 1, 1)), (2, (1, 1, 2)), (4, (1, 2, 3)), (12, (3, 6, 9))])
def test_features_are_taken_at_the_quarters_of_the_depth(depth, taps):
    encoder, images = tiny(depth=depth), torch.randn(1, 1, 8, 8, 8)
    tokens = encoder.blocks(encoder.embedding(patchify(images, (4, 4, 4))) + encoder.positions, taps=range(1, 13))
    for found, tap in zip(encoder.features(images), taps, strict=False):
        assert torch.equal(found.flatten(2).transpose(1, 2), tokens[tap - 1])
    assert torch.equal(encoder.features(images)[-1].flatten(2).transpose(1, 2), encoder(images))


@pytest.mark.parametrize("position", ["sincos", "learned"])
def test_layers_name_every_parameter_once(position):
    encoder = tiny(position=position, depth=3)
    layers = encoder.layers()
    assert len(layers) == 5
    named = [id(weight) for layer in layers for weight in layer]
    assert sorted(named) == sorted(id(weight) for weight in encoder.parameters())


@pytest.mark.parametrize("position", ["sincos", "learned"])
def test_images_of_another_size_get_positions_of_their_own(position):
    encoder = tiny(position=position)
    result = encoder(torch.randn(1, 1, 12, 8, 16))
    assert result.shape == (1, 24, 8)
    assert encoder.features(torch.randn(1, 1, 12, 8, 16))[0].shape == (1, 8, 3, 2, 4)


def test_fixed_positions_are_in_no_file_and_learned_ones_are():
    assert "positions" not in tiny().state_dict()
    assert tiny(position="learned").state_dict()["positions"].shape == (8, 8)


def test_the_first_image_does_not_see_the_second():
    encoder, images = tiny(), torch.randn(2, 1, 8, 8, 8)
    torch.testing.assert_close(encoder(images)[:1], encoder(images[:1]))
