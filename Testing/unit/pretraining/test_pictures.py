"""Reconstructions for the eye."""

from __future__ import annotations

import io

import numpy as np
import torch
from PIL import Image

from MaskWhatMattersLib.pretraining.batch import Reconstruction
from MaskWhatMattersLib.pretraining.pictures import triplet_png


def _pixels(images: torch.Tensor, hidden: torch.Tensor) -> np.ndarray:
    """Grey of the picture of a perfect reconstruction."""
    png = triplet_png(Reconstruction(images, torch.full_like(images, -1), images, hidden))
    return np.asarray(Image.open(io.BytesIO(png)))[..., 0]


def test_three_panels_stand_side_by_side():
    images = torch.linspace(-1, 1, 32 * 24).reshape(1, 1, 32, 24)
    hidden = torch.ones(1, 4, 3, dtype=torch.bool)
    pixels = _pixels(images, hidden)
    assert pixels.shape == (192, 3 * 144 + 2 * 8)
    assert pixels[:, :144].max() == 255
    np.testing.assert_array_equal(pixels[:, :144], pixels[:, 304:])


def test_hidden_tokens_are_grey_squares_and_visible_ones_are_as_they_were():
    images = torch.linspace(-1, 1, 32 * 32).reshape(1, 1, 32, 32)
    hidden = torch.zeros(1, 4, 4, dtype=torch.bool)
    hidden[0, 0, 1] = True
    original, masked = (_pixels(images, hidden)[:, start : start + 192] for start in (0, 200))
    assert len(np.unique(masked[1:48, 49:96])) == 1
    assert 50 < masked[20, 70] < 200
    np.testing.assert_array_equal(masked[48:], original[48:])
    np.testing.assert_array_equal(masked[:48, :48], original[:48, :48])


def test_a_volume_shows_its_front_on_top_and_its_right_at_the_left():
    volume = torch.zeros(1, 1, 8, 192, 192)
    volume[0, 0, 4, -1, -1] = 1  # most anterior, most to the patient's right
    volume[0, 0, 4, :100, :] = 0.001
    hidden = torch.zeros(1, 2, 2, 2, dtype=torch.bool)
    hidden[0, 1, 1, 1] = True
    pixels = _pixels(volume, hidden)
    assert pixels[0, 0] == 255
    assert pixels[50, 200 + 50] == 112  # the same corner of the masked slice
    assert pixels[150, 200 + 150] != 112


def test_a_volume_shows_the_slice_nearest_to_the_middle_that_is_hidden_in_part():
    volume = torch.arange(32.0).reshape(1, 1, 32, 1, 1).repeat(1, 1, 1, 16, 16)
    volume[..., 0, 0] = 0  # grey starts there
    volume[..., 8:, 8:] = 31
    hidden = torch.ones(1, 4, 2, 2, dtype=torch.bool)
    hidden[0, 1] = False  # neither the slabs in the middle nor the last one is hidden in part
    hidden[0, 0, 0, 0] = False
    pixels = _pixels(volume, hidden)
    assert pixels[180, 40] == int(7 / 31 * 255)  # the last slice of the first slab


def test_a_volume_that_is_hidden_as_a_whole_shows_its_middle():
    volume = torch.arange(8.0).reshape(1, 1, 8, 1, 1).repeat(1, 1, 1, 16, 16)
    volume[..., 0, 0], volume[..., 8:, 8:] = 0, 7
    pixels = _pixels(volume, torch.ones(1, 2, 2, 2, dtype=torch.bool))
    assert pixels[180, 40] == int(4 / 7 * 255)
