"""Pictures of masks."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from MaskWhatMattersLib.masking.preview import masked_picture, png_of, side_by_side

PICTURE = np.tile(np.arange(0, 64, dtype=np.uint8)[None], (48, 1))
YELLOW = (255, 235, 60)


def test_hidden_tokens_are_grey_and_visible_ones_as_they_are():
    hidden = np.zeros((3, 4), bool)
    hidden[1, 2] = True
    pixels = masked_picture(PICTURE, hidden)
    factor = pixels.shape[0] // 48
    assert pixels.shape == (48 * factor, 64 * factor, 3)
    token = pixels[16 * factor : 32 * factor, 32 * factor : 48 * factor]
    assert (token[1:, 1:] == 112).all()
    plain = masked_picture(PICTURE)
    changed = (pixels != plain).any(axis=2)
    assert changed.sum() == (16 * factor) ** 2


def test_the_region_is_outlined_over_everything_and_not_filled():
    region = np.zeros(PICTURE.shape, bool)
    region[10:30, 20:50] = True
    pixels = masked_picture(PICTURE, np.ones((3, 4), bool), region)
    factor = pixels.shape[0] // 48
    assert tuple(pixels[10 * factor, 20 * factor]) == YELLOW
    assert tuple(pixels[20 * factor + 1, 35 * factor + 1]) == (112, 112, 112)


def test_a_large_picture_keeps_its_size():
    assert masked_picture(np.zeros((700, 900), np.uint8)).shape == (700, 900, 3)


def test_a_png_file_holds_the_pixels_and_says_who_made_it():
    pixels = side_by_side(masked_picture(PICTURE), masked_picture(PICTURE))
    with Image.open(io.BytesIO(png_of(pixels))) as picture:
        np.testing.assert_array_equal(np.asarray(picture), pixels)
        assert picture.text["Software"].startswith("whatmatters")
