"""The mean under a mask is that of the enlarged maps."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from MaskWhatMattersLib.networks.masked_mean import masked_mean


def literally(maps, masks):
    """Enlarge the maps, then take the mean."""
    fine = functional.interpolate(maps, masks.shape[2:], mode="trilinear", align_corners=True)
    total = torch.einsum("bcdhw,bkdhw->bkc", fine, masks.float())
    return total / masks.float().sum((2, 3, 4)).clamp(min=1)[..., None]


@pytest.mark.parametrize("stride", [4, 8, 16])
def test_it_equals_the_mean_of_the_enlarged_maps(stride):
    torch.manual_seed(0)
    maps = torch.randn(2, 5, 16 // stride, 32 // stride, 48 // stride)
    masks = torch.rand(2, 3, 16, 32, 48) > 0.7
    torch.testing.assert_close(masked_mean(maps, masks), literally(maps, masks), atol=1e-5, rtol=1e-5)


def test_a_mask_of_one_voxel_takes_the_value_there():
    maps = torch.arange(8.0).reshape(1, 1, 2, 2, 2)
    masks = torch.zeros(1, 1, 16, 16, 16)
    masks[0, 0, -1, 0, -1] = 1
    assert masked_mean(maps, masks).item() == pytest.approx(maps[0, 0, 1, 0, 1].item())


def test_an_empty_mask_gives_zero():
    assert not masked_mean(torch.randn(1, 4, 2, 2, 2), torch.zeros(1, 2, 16, 16, 16, dtype=torch.bool)).any()


def test_it_is_exact_where_everything_else_is_rounded():
    maps, masks = torch.randn(1, 4, 2, 2, 2), torch.rand(1, 2, 32, 32, 32) > 0.5
    with torch.autocast("cpu", torch.bfloat16):
        found = masked_mean(maps, masks)
    torch.testing.assert_close(found, literally(maps, masks), atol=1e-5, rtol=1e-5)
