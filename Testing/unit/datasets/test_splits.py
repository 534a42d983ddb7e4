"""Whole patients are learned from or not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from MaskWhatMattersLib.datasets.image_cases import ImageCase
from MaskWhatMattersLib.datasets.splits import assign_splits, keep_patients, patient_in, split_in
from MaskWhatMattersLib.errors import InputError
from unit.volumes.grids import counted

IMAGE = counted()


def case(name: str, patient: str | None = None, split: str | None = None, class_name: str | None = None) -> ImageCase:
    return ImageCase(name, IMAGE, patient or name, split, class_name)


def validated(cases, **options) -> set[str]:
    return {each.patient for each in assign_splits(cases, **options) if each.split == "val"}


@pytest.mark.parametrize(
    ("name", "patient"),
    [
        ("sub-01_ses-2_T1w", "sub-01"),
        ("sub-ab12/anat/T1w", "sub-ab12"),
        ("set/patient001_frame02", "patient001"),
        ("pt_100", "pt_100"),
        ("benign/study_subj7_2", "subj7"),
        ("b/patient3/scan1", "patient3"),
        ("glioma/0209", None),
        ("scan", None),
        ("subset0/patch12", None),
        ("dept_12", None),
    ],
)
def test_a_name_may_name_its_patient_whatever_folder_it_lies_in(name, patient):
    assert patient_in(name) == patient


@pytest.mark.parametrize(
    ("name", "volume"),
    [
        ("a/volume_1_slice_1", "volume_1"),
        ("train/a/volume_1_slice_22", "volume_1"),
        ("val2017/ct9-z003", "ct9"),
        ("scan12 frame 4", "scan12"),
        ("x7_img2", "x7"),
        ("case7/scan1_slice_3", "case7/scan1"),
        ("slice_3", None),
        ("tumour/slice_3", None),
        ("batch7/img_0012", None),
        ("brain_slice_3", None),
        ("set_2d/t1_slice_3", None),
        ("case7/t1_slice_3", "case7"),
        ("case7/slice_3", "case7"),
        ("0001", None),
        ("scan_2", None),
    ],
)
def test_slices_of_a_volume_belong_together_and_mere_numbers_say_nothing(name, volume):
    assert patient_in(name) == volume


def test_a_folder_with_a_number_may_be_a_class():
    assert patient_in("grade2/volume_1_slice_1", "grade2") == "volume_1"


@pytest.mark.parametrize(("word", "split"), [("Train", "train"), ("val2017", "val"), ("testing", "test"), ("x", None)])
def test_words_for_splits(word, split):
    assert split_in(word) == split


@given(st.lists(st.integers(0, 12), min_size=2, max_size=40), st.floats(0.05, 0.95), st.integers(0, 5))
def test_patients_are_never_divided_and_both_sides_have_some(patients, share, seed):
    cases = [case(f"{index}", f"p{patient}") for index, patient in enumerate((*patients, 13, 14))]
    chosen = validated(cases, validation=share, seed=seed)
    everybody = {each.patient for each in cases}
    assert 0 < len(chosen) < len(everybody)
    for each in assign_splits(cases, share, seed):
        assert each.split == ("val" if each.patient in chosen else "train")


def test_the_order_of_the_files_does_not_matter_and_the_seed_does():
    cases = [case(f"{index}") for index in range(30)]
    chosen = validated(cases, validation=0.3, seed=1)
    assert len(chosen) == 9
    assert validated(cases[::-1], validation=0.3, seed=1) == chosen
    assert validated(cases, validation=0.3, seed=2) != chosen


def test_given_splits_stay_and_other_images_of_a_patient_share_them():
    cases = [case("a", "p", "test"), case("b", "p"), case("c", "q", "val"), case("d", "r")]
    assert [each.split for each in assign_splits(cases, 0.5, 0)] == ["test", "test", "val", "train"]


def test_without_validation_among_given_splits_it_comes_from_those_to_learn_from():
    cases = [case(f"{index}", split="test" if index < 5 else "train") for index in range(15)]
    found = assign_splits(cases, 0.2, 0)
    assert [each.split for each in found[:5]] == ["test"] * 5
    assert sorted(each.split for each in found[5:]) == ["train"] * 8 + ["val"] * 2


def test_each_class_gives_its_share():
    cases = [case(f"{index}", class_name="rare" if index < 4 else "usual") for index in range(44)]
    found = assign_splits(cases, 0.25, 0, by_class=True)
    assert sum(each.split == "val" and each.class_name == "rare" for each in found) == 1
    assert sum(each.split == "val" and each.class_name == "usual" for each in found) == 10


def test_every_patient_in_two_splits_is_named():
    cases = [case("a", "p", "train"), case("b", "p", "test"), case("c", "q", "val"), case("d", "q", "train")]
    with pytest.raises(InputError, match=r"(?s)patient p is in two splits, train and test.*patient q"):
        assign_splits(cases, 0.2, 0)


def test_a_class_with_one_member_cannot_be_validated():
    cases = [case("a", class_name="x"), case("b", class_name="x"), case("c", class_name="y")]
    with pytest.raises(InputError, match=r'class "y" has 1 patient \(c\)'):
        assign_splits(cases, 0.2, 0, by_class=True)
    with pytest.raises(InputError, match="There is 1 patient"):
        assign_splits([case("a", "p"), case("b", "p")], 0.2, 0)


def test_patients_with_images_of_two_classes_are_drawn_once_and_for_the_rarer():
    cases = [case(f"x{index}", f"p{index}", class_name="x") for index in range(10)]
    cases += [case(f"y{index}", f"p{index}", class_name="y") for index in range(2)]
    for seed in range(5):
        found = assign_splits(cases, 0.25, seed, by_class=True)
        assert [each.split for each in found[10:]] in (["train", "val"], ["val", "train"])
        assert [each.split for each in found[:2]] == [each.split for each in found[10:]]
        assert sum(each.split == "val" for each in found[2:10]) == 2


def test_a_class_is_not_lost_because_most_of_its_patients_have_a_rarer_one_too():
    cases = [case(f"x{index}", f"p{index}", class_name="x") for index in range(2)]
    cases += [case(f"y{index}", f"p{index}", class_name="y") for index in range(3)]
    found = assign_splits(cases, 0.25, 0, by_class=True)
    assert {each.class_name for each in found if each.split == "train"} == {"x", "y"}
    assert sum(each.split == "val" for each in found[:2]) == 1
    assert {each.class_name for each in keep_patients(cases, 0.1, 0)} == {"x", "y"}


def test_without_validation_everybody_is_learned_from():
    assert {each.split for each in assign_splits([case("a"), case("b")], 0.0, 0)} == {"train"}


def test_fewer_patients_are_part_of_more_and_no_class_is_lost():
    cases = [case(f"{index}", f"p{index // 2}", class_name="rare" if index < 4 else "usual") for index in range(40)]
    few, more = keep_patients(cases, 0.1, 0), keep_patients(cases, 0.5, 0)
    assert set(few) < set(more) < set(cases)
    assert {each.class_name for each in few} == {"rare", "usual"}
    assert len({each.patient for each in more}) == 10
    assert keep_patients(cases, 1.0, 0) == tuple(cases)
