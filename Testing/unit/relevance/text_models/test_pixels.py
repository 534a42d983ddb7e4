"""Our pixels against those of the image processors that run without torchvision, and the way back."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from MaskWhatMattersLib.relevance.text_models.pixels import HALF, IMAGENET, Preprocessing, prepare

SIDES = st.integers(8, 90)
LAYOUTS = {
    "stretch": Preprocessing("stretch", 48, 48, *HALF),
    "corner": Preprocessing("corner", 64, 64, *IMAGENET),
    "aspect": Preprocessing("aspect", 40, 72, *IMAGENET),
}


def _picture(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height * width).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize(("height", "width"), [(50, 70), (70, 50), (200, 90)])
def test_stretched_pixels_equal_those_of_the_vit_processor(height, width):
    from transformers import ViTImageProcessorPil

    picture = _picture(height, width)
    expected = ViTImageProcessorPil(size={"height": 48, "width": 48})(picture, return_tensors="pt").pixel_values
    torch.testing.assert_close(prepare(picture, LAYOUTS["stretch"])[0], expected, atol=0.02, rtol=0)


@pytest.mark.parametrize(("height", "width"), [(50, 70), (70, 50)])
def test_cornered_pixels_equal_those_of_the_sam_processor(height, width):
    from transformers import SamImageProcessorPil

    picture = _picture(height, width)
    processor = SamImageProcessorPil(size={"longest_edge": 64}, pad_size={"height": 64, "width": 64})
    expected = processor(picture, return_tensors="pt")
    pixels, frame = prepare(picture, LAYOUTS["corner"])
    torch.testing.assert_close(pixels, expected.pixel_values, atol=0.02, rtol=0)
    assert frame.content_size == tuple(expected.reshaped_input_sizes[0].tolist())


@pytest.mark.parametrize(("height", "width"), [(50, 70), (70, 50), (30, 90)])
def test_pixels_in_proportion_equal_those_of_the_grounding_dino_processor(height, width):
    from transformers import GroundingDinoImageProcessorPil

    picture = _picture(height, width)
    processor = GroundingDinoImageProcessorPil(size={"shortest_edge": 40, "longest_edge": 72})
    expected = processor(picture, return_tensors="pt").pixel_values
    pixels, _ = prepare(picture, LAYOUTS["aspect"])
    assert max(abs(ours - theirs) for ours, theirs in zip(pixels.shape[2:], expected.shape[2:], strict=True)) <= 1
    if pixels.shape == expected.shape:
        torch.testing.assert_close(pixels, expected, atol=0.02, rtol=0)


@pytest.mark.parametrize("layout", LAYOUTS)
@settings(max_examples=25, deadline=None)
@given(height=SIDES, width=SIDES)
def test_a_box_comes_back_to_where_it_was(layout, height, width):
    frame = prepare(_picture(height, width), LAYOUTS[layout])[1]
    boxes = torch.tensor([[0.0, 0.0, width, height], [1.0, 2.0, width / 2, height / 2]])
    input_height, input_width = frame.input_size
    relative = frame.boxes_on_input(boxes) / torch.tensor([input_width, input_height, input_width, input_height])
    torch.testing.assert_close(frame.boxes_on_picture(relative), boxes, atol=1e-3, rtol=0)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_map_comes_back_over_the_same_part_of_the_picture(layout):
    picture = np.zeros((60, 40, 3), dtype=np.uint8)
    picture[10:30, 5:20] = 255
    pixels, frame = prepare(picture, LAYOUTS[layout])
    bright = (pixels[:, 0] > 0).float()
    assert frame.maps_on_picture(bright)[0].shape == (60, 40)
    overlap = (frame.maps_on_picture(bright)[0] > 0.5).numpy() == (picture[..., 0] > 0)
    assert overlap.mean() > 0.95


def test_the_models_own_sizes_and_statistics_win(tmp_path):
    config = {"size": {"longest_edge": 99}, "pad_size": {"height": 32, "width": 48}, "image_mean": [0.1, 0.2, 0.3]}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(config))
    wanted = LAYOUTS["corner"].from_folder(tmp_path)
    assert (wanted.height, wanted.width, wanted.mean) == (32, 48, (0.1, 0.2, 0.3))
    assert LAYOUTS["corner"].from_folder(tmp_path / "nothing") == LAYOUTS["corner"]
