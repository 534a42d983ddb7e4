from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from MaskWhatMattersLib.contact_sheet import SheetRow, contact_sheet, describe, draw_row
from MaskWhatMattersLib.relevance import RelevanceMap
from MaskWhatMattersLib.volumes import Volume


def _volume(shape: tuple[int, int, int] = (5, 40, 40), modality: str | None = None) -> Volume:
    array = np.random.default_rng(0).normal(100, 10, (1, *shape)).astype(np.float32)
    return Volume(array, np.diag([1.0, 1.0, 3.0, 1.0]), name="scan", modality=modality)


def _answer(volume: Volume, verdict: str = "found", prompt: str = "left lung") -> RelevanceMap:
    relevance = np.zeros(volume.array.shape, dtype=np.float32)
    if verdict == "found":
        relevance[:, 3, 10:30, 10:20] = 1
    return RelevanceMap(volume.with_array(relevance), prompt, verdict, 0.9, "", "sample", "sample 1")


def _coloured(picture: Image.Image) -> int:
    """Pixels that are clearly not grey."""
    pixels = np.asarray(picture, dtype=int)
    return int((np.ptp(pixels, axis=2) > 60).sum())


def test_the_slice_with_the_most_relevance_is_shown_in_colour():
    volume = _volume()
    assert _coloured(draw_row(SheetRow(volume, [_answer(volume)]))) > 1000


def test_what_is_absent_leaves_the_picture_grey():
    volume = _volume()
    assert _coloured(draw_row(SheetRow(volume, [_answer(volume, "absent")]))) == 0


def test_the_overlay_is_on_the_side_of_the_picture_where_the_thing_is():
    volume = _volume()
    picture = draw_row(SheetRow(volume, [_answer(volume)]))
    left, right = picture.crop((0, 0, 118, picture.height)), picture.crop((118, 0, picture.width, picture.height))
    # Columns 10 to 20 of 40 lie towards the patient's left (RAS), which is the right half of the picture.
    assert _coloured(right) > 3 * _coloured(left)


def test_a_sheet_has_a_row_for_each_image_and_a_tile_for_each_prompt(tmp_path):
    volume = _volume()
    one, many = SheetRow(volume, [_answer(volume)]), SheetRow(volume, [_answer(volume)] * 4)
    contact_sheet([one], tmp_path / "one.png")
    contact_sheet([many, many, many], tmp_path / "many.png")
    small, large = Image.open(tmp_path / "one.png").size, Image.open(tmp_path / "many.png").size
    assert large[0] > small[0]
    assert large[1] > 2.5 * (small[1] - 30)


@pytest.mark.parametrize("prompt", ["", "左肺 🫁", "x" * 500, "a\nb"])
def test_any_prompt_can_be_drawn(prompt):
    volume = _volume()
    draw_row(SheetRow(volume, [_answer(volume, prompt=prompt)]))


@pytest.mark.parametrize("modality", ["CT", "MR", None])
@pytest.mark.parametrize("shape", [(1, 40, 40), (5, 1, 40), (40, 2000, 3), (1, 1, 1)])
def test_any_shape_can_be_drawn(shape, modality):
    volume = _volume(shape, modality)
    assert draw_row(SheetRow(volume, [_answer(volume, "absent")])).width > 0


def test_voxels_that_are_no_number_can_be_drawn():
    volume = _volume()
    volume.array[0, :, 3] = np.nan
    draw_row(SheetRow(volume, [_answer(volume)]))


def test_a_result_is_described_in_a_few_words():
    volume = _volume()
    assert describe(_answer(volume)) == "found, score 0.90, 0.6 mL"
    assert describe(_answer(volume, "absent")) == "absent, score 0.90"
    assert describe(_answer(volume, "untrained")) == "not trained for this kind of image"
