"""Largest component without leaving the device."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from MaskWhatMattersLib.corn.components import largest_component


def by_scipy(mask):
    labels, count = ndimage.label(mask, np.ones((3,) * mask.ndim))
    sizes = np.bincount(labels.ravel())[1:]
    return labels == 1 + sizes.argmax() if count else mask


@pytest.mark.parametrize("sides", [(24, 30), (14, 16, 18)])
@pytest.mark.parametrize("seed", range(3))
def test_the_largest_piece_is_the_one_that_scipy_finds(sides, seed):
    noise = np.random.default_rng(seed).normal(size=sides)
    mask = ndimage.gaussian_filter(noise, 1.5) > 0.03
    found = largest_component(torch.from_numpy(mask)[None])[0].numpy()
    assert found.sum() == by_scipy(mask).sum()
    assert np.array_equal(found, by_scipy(mask))


def test_each_mask_of_a_batch_is_on_its_own_and_an_empty_one_stays_empty():
    masks = torch.zeros(2, 6, 6, dtype=torch.bool)
    masks[0, :2, :2] = masks[0, 4:, 5] = True
    found = largest_component(masks)
    assert found.sum((1, 2)).tolist() == [4, 0]


def test_a_long_winding_piece_is_followed():
    snake = torch.zeros(1, 31, 31, dtype=torch.bool)
    snake[0, ::2] = True
    snake[0, 1::4, -1] = snake[0, 3::4, 0] = True
    assert torch.equal(largest_component(snake), snake)
