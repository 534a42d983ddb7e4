"""The picture of what a pretraining would hide, from the settings of the pretraining."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.jobs.pretrain_preview_job import PretrainPreviewSpec, run
from MaskWhatMattersLib.progress import SilentProgress
from MaskWhatMattersLib.volumes import Volume

QUIET = SilentProgress()


@pytest.fixture
def volume() -> Volume:
    array = np.random.default_rng(0).normal(size=(1, 24, 32, 40)).astype(np.float32)
    return Volume(array, np.diag([2.0, 2.0, 2.0, 1.0]), name="noise")


def spec(key: str, **settings) -> PretrainPreviewSpec:
    return PretrainPreviewSpec(**{"preset": "fast", "method": "mae", "dims": 3} | settings, key=key)


def test_tokens_and_share_are_those_of_the_preset(volume: Volume) -> None:
    preview = run(spec("preset"), QUIET, volume)
    assert preview.tokens == 3 * 4 * 5
    assert preview.ratio == pytest.approx(0.75, abs=0.01)


def test_settings_on_top_of_the_preset_count(volume: Volume) -> None:
    preview = run(spec("settings", config={"masking": {"ratio": 0.25}}), QUIET, volume)
    assert preview.ratio == pytest.approx(0.25, abs=0.01)


def test_image_is_sent_once(volume: Volume) -> None:
    first = run(spec("once"), QUIET, volume)
    assert run(spec("once"), QUIET).png == first.png
    with pytest.raises(InputError, match="Send the image"):
        run(spec("never"), QUIET)


def test_first_image_of_a_folder_is_read_in_2d(tmp_path: Path) -> None:
    from PIL import Image

    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64)).astype(np.uint8)).save(tmp_path / "a.png")
    preview = run(spec("folder", dims=2, data=tmp_path), QUIET)
    assert preview.png.startswith(b"\x89PNG")
    assert preview.tokens == 16 * 16


def test_folder_without_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        run(spec("empty", data=tmp_path), QUIET)
