"""Reconstructions for the eye."""

from __future__ import annotations

import io

import numpy as np
import torch
from PIL import Image

from MaskWhatMattersLib.pretraining.batch import Reconstruction
from MaskWhatMattersLib.pretraining.pictures import triplet_png


def _pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)))


def test_three_panels_stand_side_by_side():
    images = torch.linspace(-1, 1, 32 * 24).reshape(1, 1, 32, 24)
    pixels = _pixels(triplet_png(Reconstruction(images, torch.full_like(images, -1), images)))
    assert pixels.shape == (192, 3 * 144 + 2 * 4)
    assert pixels[:, :144].max() == 255
    assert pixels[:, 148:292].max() == 0
    np.testing.assert_array_equal(pixels[:, :144], pixels[:, 296:])


def test_a_volume_shows_its_front_on_top_and_its_right_at_the_left():
    volume = torch.zeros(1, 1, 8, 192, 192)
    volume[0, 0, 4, -1, -1] = 1  # most anterior, most to the patient's right
    volume[0, 0, 4, :100, :] = 0.001
    pixels = _pixels(triplet_png(Reconstruction(volume, volume, volume)))
    assert pixels[0, 0] == 255
