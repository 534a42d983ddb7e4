"""Views of a scan."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from MaskWhatMattersLib.mass.episode_augment import interpolated, nearest, places, random_motion, recoloured
from MaskWhatMattersLib.mass.pretrain_config import STRONG, ViewConfig

STILL = ViewConfig(moved=0.0, share=0.0)
TURN = torch.tensor([[0.9, 0.3, 0.0], [-0.2, 1.1, 0.1], [0.0, 0.2, 0.8]])


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def grey(shape=(9, 10, 11)):
    return torch.randint(256, shape, generator=generator()).to(torch.uint8)


def test_an_unmoved_view_is_the_box_around_its_centre():
    scan = grey()
    where = places(random_motion(STILL, generator()), torch.tensor([4.5, 3.5, 5.5]), 4)
    torch.testing.assert_close(interpolated(scan, 100.0, where), scan[3:7, 2:6, 4:8].float() - 100)
    assert torch.equal(nearest(scan[None].short(), where)[0], scan[3:7, 2:6, 4:8].short())


def test_a_moved_view_interpolates_and_is_the_mean_outside():
    scan = grey()
    where = places(TURN, torch.tensor([1.0, 8.0, 5.0]), 8)
    padded = np.pad(scan.numpy().astype(np.float64) - 100, 20)
    expected = ndimage.map_coordinates(padded, [at.numpy() + 20.0 for at in where], order=1)
    np.testing.assert_allclose(interpolated(scan, 100.0, where).numpy(), expected, atol=1e-2)


def test_labels_come_from_the_nearest_voxel_and_are_0_outside():
    labels = torch.stack([grey().short(), grey().short() * 100])
    where = places(TURN, torch.tensor([1.0, 8.0, 5.0]), 8)
    found = nearest(labels, where)
    at = torch.stack(where).round().long()
    inside = ((at >= 0) & (at < torch.tensor(labels.shape[1:]).view(3, 1, 1, 1))).all(0)
    assert not found[:, ~inside].any()
    assert torch.equal(found[:, inside], labels[:, at[0][inside], at[1][inside], at[2][inside]])


@pytest.mark.parametrize("view", [ViewConfig(moved=1.0), STRONG.model_copy(update={"moved": 1.0})])
def test_sizes_stay_within_the_limits(view):
    source = generator()
    volumes = [
        float(torch.linalg.det(random_motion(view.model_copy(update={"shear": 0.0}), source))) for _ in range(50)
    ]
    limit = (view.zoom * view.stretch) ** 3
    assert 1 / limit <= min(volumes) < 0.8
    assert 1.25 < max(volumes) <= limit


def test_grey_values_stay_where_no_change_is_drawn_and_are_the_same_for_a_seed():
    image = torch.randn(8, 8, 8, generator=generator())
    always = STRONG.model_copy(update={"share": 1.0})
    assert torch.equal(recoloured(image, STILL, generator(), generator()), image)
    first, second = (recoloured(image, always, generator(3), generator(4)) for _ in range(2))
    assert torch.equal(first, second)
    assert not torch.allclose(first, image, atol=0.05)
    assert torch.isfinite(first).all()


def test_blur_smooths_and_keeps_the_mean():
    image = torch.randn(12, 12, 12, generator=generator())
    only_blur = ViewConfig(
        share=1.0, brightness=(1, 1), shift=0.0, gamma=(1, 1), contrast=(1, 1), blur=(1.5, 1.5), noise=0.0
    )
    blurred = recoloured(image, only_blur, generator(), generator())
    expected = ndimage.gaussian_filter(image.numpy(), 1.5, mode="nearest", radius=math.ceil(4.5))
    np.testing.assert_allclose(blurred.numpy(), expected, atol=1e-5)
