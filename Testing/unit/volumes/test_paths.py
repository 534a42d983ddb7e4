"""Which paths are volumes."""

from __future__ import annotations

import pytest

from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.volumes import base_name, find_volume_paths, is_volume_path
from unit.volumes.grids import counted, write_series


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a/scan.nii.gz", "scan"),
        ("scan.NII.GZ", "scan"),
        ("p.1.nrrd", "p.1"),
        ("film.jpeg", "film"),
        ("folder/ct", "ct"),
        ("no.format", "no.format"),
        (".png", ".png"),
    ],
)
def test_the_base_name_has_no_folder_and_no_format(path, name):
    assert base_name(path) == name


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_volumes_are_found_in_all_folders_in_order(tmp_path):
    touch(tmp_path, "b.nrrd", "a/x.nii.gz", "a/notes.txt", "c/deep/film.png", "c/data.raw")
    found = [path.relative_to(tmp_path).as_posix() for path in find_volume_paths(tmp_path)]
    assert found == ["a/x.nii.gz", "b.nrrd", "c/deep/film.png"]


def test_hidden_files_and_folders_are_left_out(tmp_path):
    touch(tmp_path, ".hidden/x.nii", ".x.nii", "._y.nrrd")
    assert find_volume_paths(tmp_path) == []


def test_a_folder_of_dicom_files_is_one_volume(tmp_path):
    write_series(tmp_path / "study" / "ct", counted())
    touch(tmp_path, "study/ct/preview.png")
    found = [path.relative_to(tmp_path).as_posix() for path in find_volume_paths(tmp_path)]
    assert found == ["study/ct", "study/ct/preview.png"]


def test_dicom_is_known_by_its_bytes_without_an_ending(tmp_path):
    file = write_series(tmp_path, counted())[0]
    bare = file.rename(tmp_path / "IM0001")
    assert is_volume_path(bare)
    assert is_volume_path(tmp_path)


@pytest.mark.parametrize("name", ["notes.txt", "weights.safetensors", "missing.nii"])
def test_other_files_are_no_volumes(tmp_path, name):
    if name != "missing.nii":
        touch(tmp_path, name)
    assert not is_volume_path(tmp_path / name)


def test_an_empty_folder_is_no_volume(tmp_path):
    assert not is_volume_path(tmp_path)


def test_a_file_has_no_volumes_below_it(tmp_path):
    touch(tmp_path, "a.nii")
    with pytest.raises(InputError, match="not a folder"):
        find_volume_paths(tmp_path / "a.nii")
