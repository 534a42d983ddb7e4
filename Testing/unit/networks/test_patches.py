"""Images as rows of tokens and back."""

from __future__ import annotations

import pytest
import torch

from MaskWhatMattersLib.networks.patches import patch_size_of, patchify, unpatchify


@pytest.mark.parametrize(
    ("spatial", "patch_size"), [((8,), (2,)), ((8, 12), (4, 4)), ((8, 12, 6), (2, 4, 3)), ((4, 4, 4, 6), (2, 4, 1, 3))]
)
def test_there_and_back_is_the_same_image(spatial, patch_size):
    images = torch.randn(2, 3, *spatial)
    grid = [side // patch for side, patch in zip(spatial, patch_size, strict=True)]
    tokens = patchify(images, patch_size)
    assert tokens.shape == (2, torch.Size(grid).numel(), 3 * torch.Size(patch_size).numel())
    assert torch.equal(unpatchify(tokens, patch_size, grid), images)


def test_a_token_holds_its_voxels_with_the_last_axis_fastest():
    image = torch.arange(4 * 6).reshape(1, 1, 4, 6)
    assert patchify(image, (2, 3))[0, 1].tolist() == image[0, 0, :2, 3:].flatten().tolist()
    assert patchify(image, (2, 3))[0, 2].tolist() == image[0, 0, 2:, :3].flatten().tolist()


def test_the_channels_of_a_voxel_lie_side_by_side():
    images = torch.randn(1, 2, 4, 4)
    assert torch.equal(patchify(images, (2, 2))[0, 0, :2], images[0, :, 0, 0])


@pytest.mark.parametrize("patch_size", [(3, 2), (2, 2, 2)])
def test_an_image_that_is_not_whole_tokens_is_refused(patch_size):
    with pytest.raises(ValueError, match=r"whole tokens; found \(4, 4\)"):
        patchify(torch.zeros(1, 1, 4, 4), patch_size)


def test_the_patch_size_follows_from_image_and_grid():
    assert patch_size_of((8, 12, 6), (4, 3, 2)) == (2, 4, 3)
    with pytest.raises(ValueError, match="evenly"):
        patch_size_of((8, 12), (3, 3))
