"""The live preview of a masking."""

from __future__ import annotations

import io
import time

import numpy as np
import pytest
from PIL import Image

import sample_localizer
from MaskWhatMattersLib.datasets.image_preprocessing import ImagePreprocessing
from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.jobs import mask_preview_image, relevance_job
from MaskWhatMattersLib.jobs.mask_preview_job import MaskPreview, MaskPreviewSpec, run
from MaskWhatMattersLib.masking.config import MaskingConfig, RegionConfig
from MaskWhatMattersLib.progress import SilentProgress
from MaskWhatMattersLib.relevance import registry
from MaskWhatMattersLib.volumes import Volume
from MaskWhatMattersLib.volumes.pictures import frontal_film_affine

ASKED = RegionConfig(source="prompts", prompts=("bright",), localizer="sample")
PICTURES = {"preprocessing": ImagePreprocessing(spatial_dims=2, longest_side=64), "patch_size": (16, 16)}
VOLUMES = {"preprocessing": ImagePreprocessing(spacing_mm=None), "patch_size": (8, 8, 8)}


@pytest.fixture(autouse=True)
def _fresh_process(monkeypatch):
    """The sample localizer beside the real ones, in a process that has seen no image yet."""
    known = {**registry.available_localizers(), "sample": sample_localizer.INFO}
    monkeypatch.setattr(registry, "available_localizers", lambda: known)
    relevance_job._warm.clear()
    mask_preview_image._warm.clear()
    yield
    relevance_job._warm.clear()
    mask_preview_image._warm.clear()


def _volume(shape=(24, 32, 32)) -> Volume:
    """Bright in a box that lies at the head, in front, on the patient's right."""
    array = np.random.default_rng(0).normal(20, 5, (1, *shape)).astype(np.float32)
    array[0, 16:24, 16:32, 16:32] = 200
    return Volume(array, np.eye(4), name="scan")


def _picture() -> Volume:
    array = np.zeros((1, 1, 64, 48), np.uint8)
    array[0, 0, 16:32, 16:32] = 200
    return Volume(array, frontal_film_affine(), has_physical_scale=False)


def _preview(tmp_path, *data: Volume | None, kind="relevance", **settings) -> MaskPreview:
    masking = MaskingConfig(kind=kind, **settings.pop("masking", {}))
    spec = MaskPreviewSpec(masking=masking, cache=tmp_path / "cache", **settings)
    return run(spec, SilentProgress(), *data)


def _pixels(preview: MaskPreview) -> np.ndarray:
    with Image.open(io.BytesIO(preview.png)) as picture:
        return np.asarray(picture)


def test_the_figures_are_those_of_the_mask(tmp_path):
    masking = {"inside": 0.75, "outside": 0.25}
    preview = _preview(tmp_path, _volume(), region=ASKED, masking=masking, **VOLUMES)
    assert (preview.tokens, preview.relevant_tokens) == (48, 4)
    assert (preview.inside, preview.outside) == pytest.approx((0.75, 0.25))
    assert preview.ratio == pytest.approx(14 / 48)
    assert preview.message == "29% of 48 tokens are hidden: 75% of 4 relevant ones and 25% of the others."


def test_a_picture_shows_its_tokens_where_they_are(tmp_path):
    masking = {"inside": 1.0, "outside": 0.0}
    preview = _preview(tmp_path, _picture(), region=ASKED, masking=masking, **PICTURES)
    pixels = _pixels(preview)
    factor = pixels.shape[0] // 64
    assert (preview.tokens, preview.relevant_tokens, preview.inside, preview.outside) == (12, 1, 1.0, 0.0)
    assert tuple(pixels[24 * factor + 2, 24 * factor + 2]) == (112, 112, 112)
    assert tuple(pixels[2, 2]) == (0, 0, 0)


def test_a_volume_is_shown_from_the_feet_in_the_middle_of_where_the_region_is_largest(tmp_path):
    masking = {"inside": 1.0, "outside": 0.0}
    preview = _preview(tmp_path, _volume(), region=ASKED, masking=masking, **VOLUMES)
    assert preview.position == pytest.approx(20 / 23)  # the middle of those that are alike
    pixels = _pixels(preview)
    half = pixels.shape[0] // 2
    assert tuple(pixels[half // 2 + 2, half // 2 + 2]) == (
        112,
        112,
        112,
    )  # front at the top, patient's right at the left
    assert (pixels[half:] != 112).any(axis=2).all()


def test_the_slice_can_be_chosen(tmp_path):
    preview = _preview(
        tmp_path, _volume(), region=ASKED, position=0.0, masking={"inside": 1.0, "outside": 0.0}, **VOLUMES
    )
    assert preview.position == 0.0
    assert not (_pixels(preview) == 112).all(axis=2).any()


def test_a_crop_lies_around_the_region(tmp_path):
    preview = _preview(tmp_path, _volume(), region=ASKED, size=(8, 16, 16), **VOLUMES)
    assert (preview.tokens, preview.relevant_tokens) == (4, 4)
    assert preview.outside is None
    assert preview.message.endswith("of 4 relevant ones.")


def test_images_smaller_than_the_crop_or_no_whole_tokens_are_padded(tmp_path):
    assert _preview(tmp_path, _volume(), region=ASKED, size=(32, 40, 40), **VOLUMES).tokens == 100
    assert _preview(tmp_path, _volume((24, 33, 31)), kind="random", **VOLUMES).tokens == 3 * 5 * 4


def test_every_slice_of_a_volume_is_a_picture_in_two_dimensions(tmp_path):
    preview = _preview(tmp_path, _volume(), region=ASKED, **PICTURES)
    assert (preview.tokens, preview.relevant_tokens) == (16, 4)
    assert _preview(tmp_path, _volume(), region=ASKED, position=0.0, **PICTURES).relevant_tokens == 0


def test_what_is_not_found_is_said_and_hidden_uniformly(tmp_path):
    nothing = RegionConfig(source="prompts", prompts=("absent",), localizer="sample")
    preview = _preview(tmp_path, _picture(), region=nothing, masking={"ratio": 0.5}, **PICTURES)
    assert (preview.ratio, preview.inside, preview.relevant_tokens) == (0.5, None, 0)
    assert preview.message == "No region in this image: 50% of all 12 tokens are hidden."


def test_random_masks_need_no_region(tmp_path):
    preview = _preview(tmp_path, _picture(), kind="random", masking={"ratio": 0.5}, **PICTURES)
    assert preview.message == "50% of 12 tokens are hidden."
    assert (preview.inside, preview.outside, preview.cached) == (None, 0.5, True)


def test_a_label_map_can_be_the_region(tmp_path):
    label_map = _picture().with_array((_picture().array > 0).astype(np.uint8))
    preview = _preview(tmp_path, _picture(), label_map, region=RegionConfig(source="labels"), **PICTURES)
    assert preview.relevant_tokens == 1
    with pytest.raises(InputError, match="has none"):
        _preview(
            tmp_path, _picture().with_array(_picture().array + 1), region=RegionConfig(source="labels"), **PICTURES
        )


def test_an_edited_label_map_is_seen_at_once(tmp_path):
    label_map = _picture().with_array((_picture().array > 0).astype(np.uint8))
    wider = label_map.array.copy()
    wider[..., 32:48] = 1
    settings = {"region": RegionConfig(source="labels"), **PICTURES}
    _preview(tmp_path, _picture(), label_map, **settings)
    assert _preview(tmp_path, _picture(), label_map.with_array(wider), **settings).relevant_tokens > 1


def test_the_localizer_is_asked_once_for_an_image_even_by_another_process(tmp_path):
    first = _preview(tmp_path, _picture(), region=ASKED, **PICTURES)
    again = _preview(tmp_path, _picture(), region=ASKED, masking={"inside": 0.9}, **PICTURES)
    mask_preview_image._warm.clear()
    elsewhere = _preview(tmp_path, _picture(), region=ASKED, **PICTURES)
    assert (first.cached, again.cached, elsewhere.cached) == (False, True, True)
    assert elsewhere.png == first.png


def test_another_seed_hides_other_tokens(tmp_path):
    previews = [_preview(tmp_path, _picture(), kind="random", seed=seed, **PICTURES).png for seed in (0, 0, 1)]
    assert previews[0] == previews[1] != previews[2]


def test_an_image_with_a_key_is_sent_once(tmp_path):
    sent = _preview(tmp_path, _picture(), kind="random", key="a", **PICTURES)
    assert _preview(tmp_path, None, kind="random", key="a", **PICTURES).png == sent.png
    with pytest.raises(InputError, match="the key b"):
        _preview(tmp_path, None, kind="random", key="b", **PICTURES)


def test_few_images_stay_in_memory(tmp_path):
    for key in "abc":
        _preview(tmp_path, _picture(), kind="random", key=key, **PICTURES)
    assert list(mask_preview_image._warm) == ["b", "c"]


def test_a_slider_can_ask_five_times_a_second(tmp_path):
    volume = _volume((120, 120, 120))
    _preview(tmp_path, volume, region=ASKED, **VOLUMES)
    started = time.perf_counter()
    _preview(tmp_path, volume, region=ASKED, masking={"inside": 0.9}, **VOLUMES)
    assert time.perf_counter() - started < 0.2


def test_the_original_comes_beside_the_mask_where_asked(tmp_path):
    alone = _pixels(_preview(tmp_path, _picture(), kind="random", **PICTURES))
    both = _pixels(_preview(tmp_path, _picture(), kind="random", original=True, **PICTURES))
    np.testing.assert_array_equal(both[:, -alone.shape[1] :], alone)
    assert both.shape[1] > 2 * alone.shape[1]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"patch_size": (16, 16)}, "3 numbers"),
        ({"size": (64, 64)}, "3 numbers"),
        ({"size": (20, 32, 32)}, "whole tokens"),
        ({"patch_size": (0, 8, 8)}, "from 1 on"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        MaskPreviewSpec(**settings)
