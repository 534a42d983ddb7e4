"""Which files of a folder are images, and which label map belongs to which."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from MaskWhatMattersLib.datasets.image_folders import FolderImage, folder_images


def pictures(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((4, 4), np.uint8)).save(path)
    return folder


def found(folder: Path, labels: Path | None = None) -> dict[str, FolderImage]:
    problems: list[str] = []
    images = folder_images(folder, labels, problems, [])
    assert problems == []
    return {each.name: each for each in images}


def pairs(folder: Path, labels: Path | None = None) -> dict[str, str | None]:
    return {
        name: each.label_map.as_posix().removeprefix(folder.parent.as_posix() + "/") if each.label_map else None
        for name, each in found(folder, labels).items()
    }


def test_a_folder_is_searched_recursively(tmp_path):
    assert pairs(pictures(tmp_path / "d", "a.png", "x/b.png", ".hidden/c.png")) == {"a": None, "x/b": None}


@pytest.mark.parametrize("labels", ["labels", "masks", "Segmentations", "gt", "labels_tissue"])
def test_label_maps_lie_beside_images(tmp_path, labels):
    folder = pictures(tmp_path / "d", "images/a.png", "images/b.png", f"{labels}/a.png")
    assert pairs(folder) == {"a": f"d/{labels}/a.png", "b": None}


def test_a_folder_called_masks_without_images_beside_it_holds_images(tmp_path):
    assert pairs(pictures(tmp_path / "d", "masks/a.png")) == {"masks/a": None}


def test_nested_sets_are_paired_each_on_its_own(tmp_path):
    names = [f"{each}/{kind}/a.png" for each in ("one", "two") for kind in ("images", "masks")]
    folder = pictures(tmp_path / "d", *names)
    assert pairs(folder) == {"one/a": "d/one/masks/a.png", "two/a": "d/two/masks/a.png"}


def test_classes_below_images_and_masks_are_paired(tmp_path):
    folder = pictures(tmp_path / "d", "images/x/1.png", "images/y/1.png", "masks/x/1.png")
    assert pairs(folder) == {"x/1": "d/masks/x/1.png", "y/1": None}
    assert found(folder)["x/1"].folder == "x"


def test_label_maps_may_lie_beside_each_image(tmp_path):
    folder = pictures(tmp_path / "d", "a.png", "a_mask.png", "b.png", "c_seg.png")
    assert pairs(folder) == {"a": "d/a_mask.png", "b": None, "c_seg": None}


def test_endings_of_labels_and_channels_are_looked_over(tmp_path):
    folder = pictures(tmp_path / "d", "imagesTr/a_0000.png", "imagesTs/b_0000.png", "labelsTr/a.png")
    assert pairs(folder) == {"a": "d/labelsTr/a.png", "b": None}
    assert found(folder)["b"].split == "test"
    other = pictures(tmp_path / "e", "images/a.png", "labels/a_seg.png")
    assert pairs(other) == {"a": "e/labels/a_seg.png"}


def test_a_folder_of_label_maps_may_be_given(tmp_path):
    folder = pictures(tmp_path / "d", "scans/x/a.png", "drawn/a.png")
    assert pairs(folder, folder / "drawn") == {"x/a": "d/drawn/a.png"}
    apart = pictures(tmp_path / "e", "a.png")
    assert found(folder / "scans", apart)["x/a"].label_map == apart / "a.png"


def test_folders_name_splits(tmp_path):
    folder = pictures(tmp_path / "d", "train/x/1.png", "valid/x/2.png", "test/images/3.png", "4.png")
    splits = {name: each.split for name, each in found(folder).items()}
    assert splits == {"x/1": "train", "x/2": "val", "3": "test", "4": None}


def test_equal_names_in_two_splits_keep_the_split_in_front(tmp_path):
    images = found(pictures(tmp_path, "train/x/1.png", "valid/x/1.png", "valid/x/2.png"))
    assert sorted(images) == ["train/x/1", "valid/x/1", "x/2"]
    assert {each.folder for each in images.values()} == {"x"}


def test_label_maps_without_an_image_are_a_problem(tmp_path):
    problems: list[str] = []
    folder_images(pictures(tmp_path, "images/a.png", "masks/b.png"), None, problems, [])
    assert len(problems) == 1
    assert "1 label map has no image of the same name" in problems[0]


def test_two_files_of_one_name_are_a_problem(tmp_path):
    problems: list[str] = []
    folder_images(pictures(tmp_path, "a.png", "a.jpg"), None, problems, [])
    assert "have the same name" in problems[0]


def test_an_empty_folder_of_label_maps_is_a_problem(tmp_path):
    problems: list[str] = []
    (tmp_path / "labels").mkdir()
    folder_images(pictures(tmp_path / "d", "a.png"), tmp_path / "labels", problems, [])
    assert "holds no label maps" in problems[0]


def test_files_that_are_no_images_are_counted(tmp_path):
    pictures(tmp_path, "a.png")
    for name in ("b.docx", "c.exe", "README.md", "list.csv", ".DS_Store"):
        (tmp_path / name).write_text("")
    notes: list[str] = []
    assert len(folder_images(tmp_path, None, [], notes)) == 1
    assert notes == ["2 files are no image and left out: b.docx, c.exe."]
