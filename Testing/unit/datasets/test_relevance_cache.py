"""Relevance that is kept on disk: asked for once, never half written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from MaskWhatMattersLib.datasets.relevance_cache import RelevanceCache, default_cache_folder, localizer_version
from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.relevance.relevance_map import RelevanceMap
from MaskWhatMattersLib.volumes import Volume
from unit.volumes.grids import OBLIQUE, counted, full_disk

IMAGE = counted(4, 5, 6)


class Asked:
    """Answers with random relevance and remembers for which prompts."""

    def __init__(self, image: Volume = IMAGE) -> None:
        self.image, self.prompts = image, []

    def __call__(self, prompts: list[str]) -> list[RelevanceMap]:
        self.prompts += prompts
        draw = np.random.default_rng(len(self.prompts)).random
        relevance = [draw((1, *self.image.spatial_shape)).astype(np.float32) for _ in prompts]
        return [
            RelevanceMap(self.image.with_array(each), prompt, "found", 0.75, "Found.", "builtin", "tiny 1", "lung", 0.4)
            for each, prompt in zip(relevance, prompts, strict=True)
        ]


def ask(cache: RelevanceCache, prompts: list[str], image: Volume = IMAGE, version: str = "1") -> tuple:
    asked = Asked(image)
    return cache.get_or_compute(image, prompts, "builtin", version, asked), asked.prompts


def test_what_is_kept_is_not_asked_again_and_is_the_same(tmp_path):
    new, asked = ask(RelevanceCache(tmp_path), ["lung", "heart"])
    again, asked_again = ask(RelevanceCache(tmp_path), ["lung", "heart"])
    assert (asked, asked_again) == (["lung", "heart"], [])
    for first, second in zip(new, again, strict=True):
        np.testing.assert_array_equal(first.volume.array, second.volume.array)
        assert {**vars(first), "volume": None} == {**vars(second), "volume": None}


def test_relevance_keeps_its_place_and_its_values_to_half_a_step(tmp_path):
    found = ask(RelevanceCache(tmp_path), ["lung"])[0][0]
    exact = Asked()(["lung"])[0]
    np.testing.assert_allclose(found.volume.array, exact.volume.array, atol=0.5 / 255 + 1e-6)
    np.testing.assert_array_equal(found.volume.affine, IMAGE.affine)


def test_only_new_prompts_are_asked_and_the_order_stays(tmp_path):
    ask(RelevanceCache(tmp_path), ["lung"])
    maps, asked = ask(RelevanceCache(tmp_path), ["heart", "lung", "spleen"])
    assert asked == ["heart", "spleen"]
    assert [each.prompt for each in maps] == ["heart", "lung", "spleen"]


@pytest.mark.parametrize(
    "changed",
    [
        IMAGE.with_array(IMAGE.array + np.int16(1)),
        replace(IMAGE, affine=OBLIQUE @ np.diag([1.01, 1, 1, 1])),
        replace(IMAGE, modality="CT"),
    ],
)
def test_another_image_is_asked_about_anew(tmp_path, changed):
    ask(RelevanceCache(tmp_path), ["lung"])
    assert ask(RelevanceCache(tmp_path), ["lung"], changed)[1] == ["lung"]


def test_another_version_is_asked_anew_but_another_name_of_the_image_is_not(tmp_path):
    ask(RelevanceCache(tmp_path), ["lung"])
    assert ask(RelevanceCache(tmp_path), ["lung"], version="2")[1] == ["lung"]
    assert ask(RelevanceCache(tmp_path), ["lung"], replace(IMAGE, name="other"))[1] == []


@pytest.mark.parametrize("damage", [b"", b"{}\n", b"no json", None])
def test_a_damaged_file_is_computed_anew(tmp_path, damage):
    wanted, _ = ask(RelevanceCache(tmp_path), ["lung"])
    file = next(tmp_path.glob("*/*.relevance"))
    file.write_bytes(file.read_bytes()[:-9] if damage is None else damage)
    found, asked = ask(RelevanceCache(tmp_path), ["lung"])
    assert asked == ["lung"]
    np.testing.assert_array_equal(found[0].volume.array, wanted[0].volume.array)
    assert ask(RelevanceCache(tmp_path), ["lung"])[1] == []


def test_size_counts_bytes_and_clear_forgets(tmp_path):
    cache = RelevanceCache(tmp_path)
    assert (cache.size(), cache.clear()) == (0, 0)
    ask(cache, ["lung", "heart"])
    kept = cache.size()
    assert kept > 200
    assert cache.clear() == kept
    assert cache.size() == 0
    assert ask(cache, ["lung"])[1] == ["lung"]


def test_a_full_disk_is_told_and_leaves_nothing_behind(tmp_path):
    image = counted(20, 20, 20)
    with full_disk(64), pytest.raises(InputError, match=r"could not be kept in .*MB free.*--cache"):
        ask(RelevanceCache(tmp_path), ["lung"], image)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_prompt_that_is_given_twice_is_asked_once(tmp_path):
    maps, asked = ask(RelevanceCache(tmp_path), ["lung", "lung"])
    assert asked == ["lung"]
    assert len(maps) == 2


def test_the_users_folder_is_the_default(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("sys.platform", "linux")
    assert RelevanceCache(None).folder == default_cache_folder() == tmp_path / "MaskWhatMatters" / "relevance"


def test_the_version_of_a_localizer_changes_with_its_files(tmp_path):
    assert localizer_version("builtin") == localizer_version("builtin") != ""
    assert localizer_version("transformers", "somebody/model") == "somebody/model"
    (tmp_path / "model.safetensors").write_bytes(b"1")
    before = localizer_version("transformers", str(tmp_path))
    (tmp_path / "model.safetensors").write_bytes(b"12")
    assert localizer_version("transformers", str(tmp_path)) != before


def test_a_file_of_another_process_may_appear_meanwhile(tmp_path):
    def slowly(prompts: list[str]) -> list[RelevanceMap]:
        ask(RelevanceCache(tmp_path), ["lung"])
        return Asked()(prompts)

    maps = RelevanceCache(tmp_path).get_or_compute(IMAGE, ["lung"], "builtin", "1", slowly)
    assert len(maps) == 1
    assert len(list(Path(tmp_path).glob("*/*"))) == 1


def test_what_a_killed_process_left_is_neither_read_nor_kept(tmp_path):
    wanted, _ = ask(RelevanceCache(tmp_path), ["lung"])
    whole = next(tmp_path.glob("*/*.relevance"))
    left = whole.with_name(".writing-abc.relevance")
    whole.rename(left)
    left.write_bytes(left.read_bytes()[:50])
    found, asked = ask(RelevanceCache(tmp_path), ["lung"])
    assert asked == ["lung"]
    np.testing.assert_array_equal(found[0].volume.array, wanted[0].volume.array)
    RelevanceCache(tmp_path).clear()
    assert not left.exists()
