"""Images of a training, prepared once, with what is marked in them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from MaskWhatMattersLib.datasets.image_cases import ImageCase, ImageCases
from MaskWhatMattersLib.datasets.image_preprocessing import ImagePreprocessing
from MaskWhatMattersLib.datasets.prepare_images import IN_REGION, VALID, prepare_images, prepare_labelled
from MaskWhatMattersLib.datasets.relevance_cache import RelevanceCache
from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.masking.config import RegionConfig
from MaskWhatMattersLib.progress import SilentProgress
from MaskWhatMattersLib.volumes import Volume, write_volume
from MaskWhatMattersLib.volumes.pictures import frontal_film_affine

SPACE = ImagePreprocessing(spacing_mm=None)
PLANE = ImagePreprocessing(spatial_dims=2, longest_side=16)
LABELS = RegionConfig(source="labels", box=False)
RAS = np.diag([1.0, 1, 1, 1])
FILM = frontal_film_affine()


def noise(shape: tuple[int, ...] = (6, 8, 10), seed: int = 0, affine: np.ndarray = RAS, **options: object) -> Volume:
    array = np.random.default_rng(seed).integers(1, 1000, (1, *shape)).astype(np.int16)
    return Volume(array, affine, **options)


def block(image: Volume, value: int = 1) -> Volume:
    """Label map with a block of 2 voxels a side at the second voxel of each axis, as far as there are so many."""
    array = np.zeros(image.array.shape, np.uint8)
    array[0, 1 % image.spatial_shape[0] :, 1:3, 1:3][:2] = value
    return image.with_array(array)


def case(name: str, image: Volume | Path, label_map: Volume | None = None, split: str = "train") -> ImageCase:
    return ImageCase(name, image, name, split, None, label_map)


class Told(SilentProgress):
    """Remembers the log."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def log(self, text: str) -> None:
        self.lines.append(text)


def test_images_become_bytes_and_all_voxels_of_noise_are_valid():
    prepared = prepare_images([case("a", noise())], SPACE)
    assert prepared.images[0].dtype == torch.uint8
    assert prepared.images[0].shape == (6, 8, 10)
    assert (prepared.marks[0] == VALID).all()
    assert (prepared.names, len(prepared), prepared.bytes) == (("a",), 1, 960)


def test_padding_is_not_valid():
    image = noise()
    image.array[0, :3] = 0
    marks = prepare_images([case("a", image)], SPACE).marks[0]
    assert not marks[:2].any()
    assert (marks[2:] == VALID).all()


def test_a_label_map_may_be_the_region():
    image = noise()
    marks = prepare_images([case("a", image, block(image))], SPACE, LABELS).marks[0]
    assert torch.equal(marks & IN_REGION, torch.from_numpy(block(image).array[0]))


def test_labels_beyond_bytes_may_be_a_region_and_are_not_learned():
    image = noise()
    drawn = image.with_array(block(image).array.astype(np.int16) * 2035)
    drawn.array[0, 5] = -1
    marks = prepare_images([case("a", image, drawn)], SPACE, LABELS).marks[0]
    assert torch.equal(marks & IN_REGION, torch.from_numpy(block(image).array[0]))
    with pytest.raises(InputError, match="whole numbers from 0 to 255"):
        prepare_labelled([case("a", image, drawn)], SPACE)


def test_the_region_lies_on_its_voxels_after_a_change_of_spacing_and_direction():
    image = noise((8, 8, 8), affine=np.diag([-1.0, -1, 1, 1]))
    image = image.with_array(image.array * 0 + 10 + 900 * block(image).array.astype(np.int16))
    finer = ImagePreprocessing(spacing_mm=(0.5, 0.5, 0.5), low_percentile=0, high_percentile=100)
    prepared = prepare_images([case("a", image, block(image))], finer, LABELS)
    bright, inside = (prepared.images[0] > 127).nonzero(), (prepared.marks[0] & IN_REGION).nonzero()
    assert len(inside) == 4**3
    assert torch.equal(bright.amin(0), inside.amin(0))
    assert torch.equal(bright.amax(0), inside.amax(0))


def test_images_without_a_region_are_counted():
    with_label, without = noise(), noise(seed=1)
    told = Told()
    found = prepare_images([case("a", with_label, block(with_label)), case("b", without)], SPACE, LABELS, told)
    assert "1 of 2 images hold no label; their tokens are hidden at the uniform ratio." in found.notes
    assert set(found.notes) <= set(told.lines)


def test_a_region_in_no_image_is_an_error():
    with pytest.raises(InputError, match="none of the 2 images holds a label"):
        prepare_images([case("a", noise()), case("b", noise(seed=1))], SPACE, LABELS)


def test_voxels_that_nobody_decided_about_are_no_region():
    image = noise()
    label_map = block(image)
    label_map.array[0, 5] = 255
    marks = prepare_images([case("a", image, label_map)], SPACE, LABELS).marks[0]
    assert int((marks & IN_REGION).sum()) == 8


def test_every_slice_of_a_volume_is_an_image_in_2d():
    image = noise((5, 16, 12))
    prepared = prepare_images([case("a", image, block(image))], PLANE, LABELS)
    assert prepared.names == tuple(f"a#{index}" for index in range(5))
    assert [bool((marks & IN_REGION).any()) for marks in prepared.marks] == [False, True, True, False, False]
    assert "3 of 5 images hold no label" in prepared.notes[-1]


def test_pictures_and_volumes_mix_in_2d_and_slices_are_skipped():
    picture = noise((1, 16, 16), affine=FILM, has_physical_scale=False)
    every_other = PLANE.model_copy(update={"every_slice": 2})
    prepared = prepare_images([case("a", noise((5, 16, 12))), case("b", picture)], every_other)
    assert prepared.names == ("a#0", "a#2", "a#4", "b")
    assert "several kinds: 1 x MR or other, 1 x picture" in prepared.notes[0]
    assert "differ in size, from 16 x 12 to 16 x 16" in prepared.notes[1]


def test_slices_without_contrast_are_left_out_and_counted():
    image = noise((5, 16, 12))
    image.array[0, 1] = image.array.min()
    prepared = prepare_images([case("a", image)], PLANE)
    assert prepared.names == ("a#0", "a#2", "a#3", "a#4")
    assert prepared.notes == ("1 slices without contrast are left out.",)


def test_everything_that_cannot_be_used_is_named_at_once(tmp_path):
    (tmp_path / "broken.nii.gz").write_bytes(b"no image")
    image = noise()
    cases = [
        case("good", image),
        case("broken", tmp_path / "broken.nii.gz"),
        case("colour", Volume(np.zeros((3, 4, 4, 4)), RAS)),
        case("flat", noise((1, 8, 8))),
        case("moved", image, replace(block(image), affine=RAS @ np.diag([2, 1, 1, 1]))),
        case("same", Volume(np.ones((1, 4, 4, 4)), RAS, name="same")),
    ]
    with pytest.raises(InputError) as caught:
        prepare_labelled(cases, SPACE)
    lines = str(caught.value).splitlines()
    assert len(lines) == 5
    for name, what in (
        ("broken", "cannot be read"),
        ("colour", "one value per voxel"),
        ("flat", "three-dimensional"),
        ("moved", "image's grid"),
        ("same", "same everywhere"),
    ):
        assert any(name in line and what in line for line in lines)


def test_the_same_voxels_in_two_splits_are_refused_and_twice_in_one_are_told():
    cases = [case("a", noise()), case("b", noise()), case("c", noise(seed=1))]
    assert prepare_labelled(cases, SPACE).notes == ("1 images hold the same voxels as another one and count twice.",)
    cases[1] = replace(cases[1], split="test")
    with pytest.raises(InputError, match=r"a \(train\) and b \(test\) hold the same voxels"):
        prepare_labelled(cases, SPACE)


def test_no_image_is_an_error():
    with pytest.raises(InputError, match="There is no image"):
        prepare_images([], SPACE)


def test_label_maps_are_the_marks_of_a_finetuning():
    image = noise()
    label_map = block(image, 3)
    label_map.array[0, 5] = 255
    cases = ImageCases((case("a", image, label_map), case("b", noise(seed=1), split="val")))
    prepared = prepare_labelled(cases, SPACE)
    assert prepared.labels() == (3,)
    assert torch.unique(prepared.marks[0]).tolist() == [0, 3]
    assert prepared.marks[1] is None
    kept = prepare_labelled(cases, SPACE, unknown=255)
    assert (torch.unique(kept.marks[0]).tolist(), kept.labels()) == ([0, 3, 255], (3,))


def test_a_split_is_a_part_of_the_images():
    cases = [
        case(name, noise(seed=seed), split=split) for seed, (name, split) in enumerate((("a", "train"), ("b", "val")))
    ]
    prepared = prepare_images(cases, SPACE)
    assert prepared.of("val").names == ("b",)
    assert len(prepared.of("test")) == 0


def test_files_are_read_and_crops_come_from_the_device(tmp_path):
    image = noise((12, 12, 12))
    write_volume(image, tmp_path / "a.nii.gz")
    scans = prepare_images([case("a", tmp_path / "a.nii.gz")], SPACE).device_scans("cpu")
    from MaskWhatMattersLib.datasets.device_scans import PatchAugmentConfig

    plain = PatchAugmentConfig(quarter_turns=False, flips=False)
    crop = scans.patches([0], (16, 8, 8), plain, 0, label_type=torch.uint8)
    assert (crop.labels[0] > 0).sum() == 12 * 8 * 8
    assert not crop.images[0, 0, :2].any()


class Halves:
    """Finds the lower half of every image, or nothing at all."""

    name = "halves"
    asked = 0

    def __init__(self, model: str | None = None, device: str = "auto") -> None:
        self.verdict = "found" if model != "blind" else "untrained"

    def localize(self, volume, prompts, *, context, modality=None):
        from MaskWhatMattersLib.relevance import RelevanceMap

        context.stage("Looking", 1)
        context.step()
        context.log("looked")
        Halves.asked += 1
        array = np.zeros(volume.array.shape, np.float32)
        if self.verdict == "found":
            array[:, : volume.spatial_shape[0] // 2] = 1
        answer = volume.with_array(array)
        return [RelevanceMap(answer, each, self.verdict, 1.0, "Not trained.", "halves", "1") for each in prompts]


@pytest.fixture
def halves(monkeypatch):
    from MaskWhatMattersLib.relevance import LocalizerInfo, registry

    info = LocalizerInfo("halves", "Halves", "Lower half.", "none", "unused:unused")
    monkeypatch.setattr(registry, "available_localizers", lambda: {"halves": info})
    monkeypatch.setattr(registry.importlib, "import_module", lambda name: type("module", (), {"unused": Halves}))
    Halves.asked = 0


@pytest.mark.usefixtures("halves")
def test_prompts_find_the_region_and_the_second_time_nobody_is_asked(tmp_path):
    region = RegionConfig(source="prompts", prompts=("lower half", " "), localizer="halves", box=False)
    cases = [case("a", noise()), case("b", noise(seed=1))]
    told = Told()
    first = prepare_images(cases, SPACE, region, told, RelevanceCache(tmp_path))
    assert [float((marks & IN_REGION).float().mean()) for marks in first.marks] == [0.5, 0.5]
    assert (Halves.asked, first.notes) == (2, ())
    assert "looked" in told.lines
    second = prepare_images(cases, SPACE, region, None, RelevanceCache(tmp_path))
    assert Halves.asked == 2
    assert all(torch.equal(one, other) for one, other in zip(first.marks, second.marks, strict=True))


@pytest.mark.usefixtures("halves")
def test_prompts_that_find_nothing_anywhere_are_an_error_that_says_why(tmp_path):
    region = RegionConfig(source="prompts", prompts=("tail",), localizer="halves", model="blind")
    with pytest.raises(InputError, match=r'none of the 1 images holds "tail"\. Not trained\. \(said of 1 images\)'):
        prepare_images([case("a", noise())], SPACE, region, None, RelevanceCache(tmp_path))
