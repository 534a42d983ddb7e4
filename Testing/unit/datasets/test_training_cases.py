"""Who takes part in a training and as what, and every way in which a folder of cases can be wrong."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from corn_phantoms import atrium_scan, write_atrium_folder
from MaskWhatMattersLib.datasets.training_cases import (
    CornCases,
    TrainingCase,
    find_cases,
    looks_like_ct,
    read_case,
    read_cases,
    selection,
)
from MaskWhatMattersLib.errors import GeometryError, InputError
from MaskWhatMattersLib.progress import SilentProgress
from MaskWhatMattersLib.volumes import Volume, crop, read_volume, write_volume

SHAPE = (6, 8, 10)


class Log(SilentProgress):
    """Keeps the lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def log(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """images/scan0 to scan4 and a label map for each."""
    return write_atrium_folder(tmp_path / "data", 5, SHAPE)


def find(data: Path, labelled=2, **more) -> CornCases:
    return find_cases(data / "images", data / "labels", labelled, **more)


def names(cases: tuple[TrainingCase, ...]) -> list[str]:
    return [case.name for case in cases]


def change_labels(data: Path, name: str, values: np.ndarray | int) -> None:
    """Replace the values of a label map; its voxels of 1 by a number."""
    file = data / "labels" / f"{name}.nii.gz"
    label_map = read_volume(file)
    array = values if isinstance(values, np.ndarray) else label_map.array * np.uint8(values)
    write_volume(label_map.with_array(array), file)


def test_the_first_are_labelled_the_last_validate_and_the_rest_is_unlabelled(data):
    cases = find(data, 2, validation=1)
    assert names(cases.labelled) == ["scan0", "scan1"]
    assert names(cases.unlabelled) == ["scan2", "scan3"]
    assert names(cases.validation) == ["scan4"]
    assert all(case.label_map is None for case in cases.unlabelled)


@pytest.mark.parametrize("place", ["images", "."])
def test_a_list_beside_the_images_gives_the_order_and_who_takes_part(data, place):
    (data / place / "train.list").write_text("scan3\n\nscan1\nscan0\nscan4\n")
    cases = find(data, 1, validation=1)
    assert (names(cases.labelled), names(cases.unlabelled)) == (["scan3"], ["scan1", "scan0"])
    assert names(cases.validation) == ["scan4"]
    assert "scan2" in cases.notes[0]


def test_without_a_list_only_images_with_a_label_map_are_counted(data):
    (data / "labels" / "scan0.nii.gz").unlink()
    assert names(find(data, 2).labelled) == ["scan1", "scan2"]
    assert "scan0" in names(find(data, 2).unlabelled)


@pytest.mark.parametrize("wanted", [("scan3", "scan1"), ("scan3.nii.gz", "scan1.nii.gz")])
def test_cases_can_be_named(data, wanted):
    assert names(find(data, wanted).labelled) == ["scan3", "scan1"]


def test_cases_can_be_named_in_a_text_file(data, tmp_path):
    (tmp_path / "mine.txt").write_text("# ours\nscan4\n\nscan2\n")
    assert names(find(data, tmp_path / "mine.txt").labelled) == ["scan4", "scan2"]


def test_cases_in_folders_are_paired_by_their_path(tmp_path):
    for part in ("a", "b"):
        shutil.move(write_atrium_folder(tmp_path / part, 1, SHAPE) / "images", tmp_path / "images" / part)
        shutil.move(tmp_path / part / "labels", tmp_path / "labels" / part)
    assert names(find(tmp_path, 2).labelled) == ["a/scan0", "b/scan0"]
    assert names(find(tmp_path, ("b/scan0.nii.gz",)).labelled) == ["b/scan0"]
    with pytest.raises(InputError, match="may be any of a/scan0, b/scan0"):
        find(tmp_path, ("scan0",))


def test_another_folder_adds_unlabelled_images(data, tmp_path):
    image, _ = atrium_scan(9, SHAPE)
    (tmp_path / "more").mkdir()
    write_volume(image, tmp_path / "more" / "new.nii.gz")
    assert names(find(data, 2, unlabelled=tmp_path / "more").unlabelled) == ["scan2", "scan3", "scan4", "new"]


def test_label_maps_inside_of_the_image_folder_are_no_images(data):
    shutil.move(data / "labels", data / "images" / "labels")
    cases = find_cases(data / "images", data / "images" / "labels", 5)
    assert (len(cases.labelled), cases.unlabelled) == (5, ())


@pytest.mark.parametrize("wanted", [0, 6])
def test_no_labelled_case_or_more_than_given_is_refused(data, wanted):
    with pytest.raises(InputError, match="no labelled case" if not wanted else "6 labelled cases are wanted; found 5"):
        find(data, wanted)


def test_without_label_maps_there_is_no_labelled_case(data):
    with pytest.raises(InputError, match="no labelled case"):
        find_cases(data / "images", None, 0)


def test_too_many_for_both_roles_are_refused(data):
    with pytest.raises(InputError, match="2 cases are both labelled and for validation: scan2, scan3"):
        find(data, 4, validation=3)


def test_all_problems_of_the_names_come_at_once(data):
    shutil.copy(data / "labels" / "scan0.nii.gz", data / "labels" / "scam9.nii.gz")
    (data / "labels" / "scan1.nii.gz").unlink()
    with pytest.raises(InputError) as refused:
        find(data, ("scan1", "skan2"), validation=("scan77",))
    for said in (
        "without an image of the same name: scam9",
        "skan2 (did you mean scan2?)",
        "label map: scan1",
        "scan77",
    ):
        assert said in str(refused.value)


def test_an_image_of_the_list_without_label_map_is_refused_among_the_labelled(data):
    (data / "train.list").write_text("scan1\nscan0\n")
    (data / "labels" / "scan1.nii.gz").unlink()
    with pytest.raises(InputError, match="1 labelled case is without label map: scan1"):
        find(data, 1)


def test_one_name_in_two_formats_is_refused(data):
    write_volume(read_volume(data / "images" / "scan0.nii.gz"), data / "images" / "scan0.nrrd")
    with pytest.raises(InputError, match="have the same name"):
        find(data)


@pytest.mark.parametrize("part", ["images", "labels"])
def test_missing_and_empty_folders_are_named(data, part):
    shutil.rmtree(data / part)
    with pytest.raises(InputError, match=f"{part} does not exist"):
        find(data)
    (data / part).mkdir()
    with pytest.raises(InputError, match=f"{part} holds no"):
        find(data)


def test_a_case_labelled_and_unlabelled_is_refused_by_path_and_by_name(data, tmp_path):
    with pytest.raises(InputError, match=r"2 cases are labelled or for validation, and unlabelled .*: scan0, scan1"):
        find(data, 2, unlabelled=data / "images")
    (tmp_path / "more").mkdir()
    for number in (1, 3):
        shutil.copy(data / "images" / "scan4.nii.gz", tmp_path / "more" / f"scan{number}.nii.gz")
    with pytest.raises(InputError, match=r"unlabelled in .*: scan1(.|\n)*both in .*: scan3"):
        find(data, 2, unlabelled=tmp_path / "more")


@pytest.mark.parametrize(("typed", "meant"), [("4", 4), (" 0", 0), ("a, b,", ("a", "b")), ("a", ("a",))])
def test_a_selection_is_typed_as_number_or_names(typed, meant):
    assert selection(typed) == meant


def test_a_selection_can_be_a_file(tmp_path):
    (tmp_path / "list.txt").write_text("a")
    assert selection(str(tmp_path / "list.txt")) == tmp_path / "list.txt"


@pytest.mark.parametrize("typed", ["", " , ", "-1"])
def test_a_selection_of_nothing_is_refused(typed):
    with pytest.raises(InputError, match=r"Give|give"):
        selection(typed)


@pytest.mark.parametrize("content", [b"", b"# nobody\n", b"\xff\xfe"])
def test_a_list_that_names_nobody_is_refused(data, tmp_path, content):
    (tmp_path / "list.txt").write_bytes(content)
    with pytest.raises(InputError, match=r"list\.txt"):
        find(data, tmp_path / "list.txt")


def test_a_case_is_read_with_a_label_map_of_zeros_and_ones(data):
    image, label_map = read_case(find(data).labelled[0])
    assert image.spatial_shape == SHAPE
    assert label_map is not None
    assert (label_map.array.dtype, set(np.unique(label_map.array))) == (np.uint8, {0, 1})


def test_cases_of_the_scene_are_read_as_they_are():
    image, label_map = atrium_scan(0, SHAPE)
    found, labels = read_case(TrainingCase("one", image, label_map))
    assert found is image
    assert labels is not None
    np.testing.assert_array_equal(labels.array, label_map.array)


def test_other_label_values_are_refused_with_an_offer(data):
    change_labels(data, "scan0", 3)
    with pytest.raises(InputError, match=r"scan0 must hold 0 and 1 only; found 0, 3\..*--foreground 3"):
        read_case(find(data).labelled[0])


def test_the_foreground_can_be_chosen(data):
    wanted = read_case(find(data).labelled[0])[1]
    change_labels(data, "scan0", 3)
    chosen = read_case(find(data, foreground=3).labelled[0])[1]
    assert wanted is not None
    assert chosen is not None
    np.testing.assert_array_equal(chosen.array, wanted.array)


@pytest.mark.parametrize("foreground", [None, 7])
def test_a_label_map_that_marks_nothing_is_refused(data, foreground):
    if foreground is None:
        change_labels(data, "scan0", np.zeros((1, *SHAPE), np.uint8))
    with pytest.raises(InputError, match="scan0 marks nothing"):
        read_case(find(data, foreground=foreground).labelled[0])


def test_a_label_map_of_another_size_is_refused_with_both_sizes(data):
    image, label_map = atrium_scan(0, SHAPE)
    smaller = crop(label_map, (0, 0, 0), (9, 8, 6))
    with pytest.raises(GeometryError, match=r"9 x 8 x 6 voxels.* image of 10 x 8 x 6"):
        read_case(TrainingCase("one", image, smaller))


def test_a_label_map_in_another_place_is_refused_with_both_affines():
    image, label_map = atrium_scan(0, SHAPE)
    moved = label_map.affine.copy()
    moved[0, 3] += 1.5
    with pytest.raises(GeometryError, match=r"1\.50 mm apart, with the affines \[\[.* and \[\[.*image"):
        read_case(TrainingCase("one", image, replace(label_map, affine=moved)))


def test_rounded_headers_are_the_same_place():
    image, label_map = atrium_scan(0, SHAPE)
    rounded = replace(label_map, affine=label_map.affine + np.eye(4, k=3) * 1e-4)
    assert read_case(TrainingCase("one", image, rounded))[1] is not None


@pytest.mark.parametrize("part", ["image", "label map"])
def test_several_values_per_voxel_are_refused(part):
    image, label_map = atrium_scan(0, SHAPE)
    colour = image.with_array(np.repeat(image.array, 3, axis=0))
    case = TrainingCase("one", colour, label_map) if part == "image" else TrainingCase("one", image, colour)
    with pytest.raises(InputError, match="one value per voxel; found 3"):
        read_case(case)


def test_problems_of_all_cases_come_together_after_the_good_ones_were_given(data):
    change_labels(data, "scan0", 2)
    (data / "images" / "scan3.nii.gz").write_bytes(b"no image")
    seen = []
    with pytest.raises(InputError, match=r"(?s)scan0 must hold.*scan3\.nii\.gz cannot be read"):
        seen.extend(case.name for _, case, _, _ in read_cases(find(data, 2)))
    assert seen == ["scan1", "scan2", "scan4"]


def test_every_case_is_read_once_in_its_role(data):
    read = [(role, case.name, labels is not None) for role, case, _, labels in read_cases(find(data, 1, validation=1))]
    unlabelled = [("unlabelled", f"scan{number}", False) for number in (1, 2, 3)]
    assert read == [("labelled", "scan0", True), *unlabelled, ("validation", "scan4", True)]


def test_no_labelled_case_is_refused_when_reading(data):
    with pytest.raises(InputError, match="at least one labelled case; found none"):
        list(read_cases(CornCases((), find(data).unlabelled)))


def test_the_same_voxels_in_two_roles_are_refused_whatever_their_name_and_type(data):
    image = read_volume(data / "images" / "scan0.nii.gz")
    write_volume(image.with_array(image.array.astype(np.float32)), data / "images" / "other.nrrd")
    with pytest.raises(InputError, match=r"scan0 \(labelled\) and other \(unlabelled\) hold the same voxels"):
        list(read_cases(find(data, 1)))


def test_the_same_voxels_twice_among_the_unlabelled_are_only_remarked(data):
    shutil.copy(data / "images" / "scan3.nii.gz", data / "images" / "other.nii.gz")
    log = Log()
    assert len(list(read_cases(find(data, 1), log))) == 6
    assert any("counts twice" in line for line in log.lines)


def test_a_name_in_two_roles_is_refused():
    (first, labels), (second, _) = atrium_scan(0, SHAPE), atrium_scan(1, SHAPE)
    cases = CornCases((TrainingCase("one", first, labels),), (TrainingCase("one", second),))
    with pytest.raises(InputError, match="one is there twice: as labelled and as unlabelled"):
        list(read_cases(cases))


def test_ct_among_the_cases_is_warned_of():
    (scan, labels), (other, _) = atrium_scan(0, SHAPE), atrium_scan(1, SHAPE)
    ct = Volume(other.array - np.int16(1000), other.affine)
    log = Log()
    list(read_cases(CornCases((TrainingCase("one", scan, labels),), (TrainingCase("two", ct),)), log))
    assert [line.split(" looks")[0] for line in log.lines] == ["two"]


def test_what_a_header_says_counts_more_than_the_values():
    scan, _ = atrium_scan(0, SHAPE)
    assert looks_like_ct(replace(scan, modality="CT"))
    assert not looks_like_ct(replace(scan, modality="MR", array=scan.array - np.int16(1000)))


def test_many_problems_are_counted(tmp_path):
    scan, labels = atrium_scan(0, SHAPE)
    cases = [TrainingCase(f"case{number}", scan, labels.with_array(labels.array * 5)) for number in range(20)]
    with pytest.raises(InputError, match="8 more problems"):
        list(read_cases(CornCases(tuple(cases))))
