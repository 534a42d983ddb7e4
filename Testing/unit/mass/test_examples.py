"""Examples from label maps, and what a set of them has in common."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from MaskWhatMattersLib.errors import GeometryError, InputError
from MaskWhatMattersLib.mass.example import Example, TaskLabel
from MaskWhatMattersLib.mass.examples import example_from_label_map, shared_labels
from MaskWhatMattersLib.volumes import Volume

SHAPE = (8, 10, 12)
LIVER, SPLEEN = TaskLabel(value=1, name="liver"), TaskLabel(value=4, name="spleen")


def image() -> Volume:
    return Volume(np.random.default_rng(0).normal(size=(1, *SHAPE)), np.diag([2.0, 2.0, 2.0, 1.0]), name="scan")


def label_map(dtype: type = np.uint8) -> Volume:
    array = np.zeros((1, *SHAPE), dtype)
    array[0, 1:4, 1:4, 1:4], array[0, 5:7, 5:7, 5:7] = 1, 4
    return image().with_array(array)


def test_every_value_is_a_label() -> None:
    example = example_from_label_map(image(), label_map(), {4: "spleen"})
    assert [(label.value, label.name) for label in example.labels] == [(1, "label 1"), (4, "spleen")]
    assert example.masks.array.dtype == np.uint8
    assert example.masks.array.sum((1, 2, 3)).tolist() == [27, 8]


def test_whole_numbers_may_be_floats() -> None:
    assert len(example_from_label_map(image(), label_map(np.float32)).labels) == 2


def test_chosen_labels_alone_and_in_their_order() -> None:
    example = example_from_label_map(image(), label_map(), labels=[SPLEEN, LIVER])
    assert example.labels == (SPLEEN, LIVER)
    assert example.masks.array.sum((1, 2, 3)).tolist() == [8, 27]


def test_channels_are_masks_that_may_overlap() -> None:
    masks = np.zeros((3, *SHAPE), np.uint8)
    masks[0, :4], masks[2, 2:6] = 1, 1
    example = example_from_label_map(image(), image().with_array(masks), {1: "one", 3: "three"})
    assert [label.value for label in example.labels] == [1, 3]
    assert "one and three overlap in an example" in shared_labels([example]).notes[0]


@pytest.mark.parametrize(
    ("array", "options", "said"),
    [
        (np.zeros((1, *SHAPE)), {}, "Nothing is marked"),
        (
            label_map().array,
            {"labels": [TaskLabel(value=9, name="aorta")]},
            "holds the values 0, 1, 4, and wanted are 9",
        ),
        (label_map().array, {"names": {2: "aorta"}}, "does not hold 2; its values are 1, 4"),
        (image().array, {}, "must hold whole numbers from 0 to 65535"),
        (-1 * label_map(np.int16).array, {}, "must hold whole numbers"),
        (np.arange(8 * 10 * 12).reshape(1, *SHAPE) % 200, {}, "at most 64 labels; .* holds 199"),
        (np.ones((2, *SHAPE)), {"labels": [TaskLabel(value=3, name="third")]}, "Nothing is marked"),
    ],
    ids=["empty", "absent", "unknown", "fractions", "negative", "hundreds", "channels"],
)
def test_what_is_no_example_is_refused(array: np.ndarray, options: dict, said: str) -> None:
    with pytest.raises(InputError, match=said):
        example_from_label_map(image(), image().with_array(array), **options)


def test_a_label_map_of_another_grid_is_refused() -> None:
    with pytest.raises(GeometryError, match="does not lie on its image's grid"):
        example_from_label_map(image(), Volume(label_map().array, np.eye(4)))


def test_labels_are_measured_over_the_examples_that_have_them() -> None:
    first = example_from_label_map(image(), label_map(), labels=[LIVER])
    doubled = image().with_array(np.where(label_map().array > 0, 1, 0))
    second = example_from_label_map(image(), doubled, labels=[LIVER])
    (liver,) = shared_labels([first, second]).labels
    assert liver.volume_ml == pytest.approx((27 + 35) / 2 * 0.008)
    assert liver.several_parts
    assert not shared_labels([first]).labels[0].several_parts


def test_a_stray_voxel_is_no_part() -> None:
    array = label_map().array.copy()
    array[0, 7, 9, 11] = 1
    example = example_from_label_map(image(), image().with_array(array), labels=[LIVER])
    assert not shared_labels([example]).labels[0].several_parts


def test_examples_may_have_other_labels_in_another_order() -> None:
    first = example_from_label_map(image(), label_map(), labels=[SPLEEN])
    second = example_from_label_map(image(), label_map(), labels=[SPLEEN, LIVER])
    shared = shared_labels([first, second])
    assert [label.name for label in shared.labels] == ["liver", "spleen"]
    assert shared.places == ((1,), (1, 0))


def test_a_label_that_is_empty_in_one_example_is_told_and_in_all_refused() -> None:
    empty = image().with_array(np.where(label_map().array == 1, 1, 0))
    examples = [example_from_label_map(image(), each, labels=[LIVER, SPLEEN]) for each in (label_map(), empty)]
    assert shared_labels(examples).notes == ("spleen is not drawn in example 2; it is learned from the others.",)
    with pytest.raises(InputError, match="Nothing is drawn in spleen"):
        shared_labels(examples[1:])


def test_all_problems_are_told_together() -> None:
    good = example_from_label_map(image(), label_map(), labels=[LIVER])
    renamed = example_from_label_map(image(), label_map(), labels=[TaskLabel(value=1, name="Liver")])
    moved = example_from_label_map(image(), label_map(), labels=[TaskLabel(value=4, name="liver")])
    flat = replace(good, image=Volume(image().array[:, :1], np.eye(4)))
    holes = replace(good, image=image().with_array(np.full_like(image().array, np.nan)))
    several = Example(image(), image().with_array(np.ones((3, *SHAPE))), (LIVER, LIVER))
    with pytest.raises(InputError) as error:
        shared_labels([good, renamed, moved, flat, holes, several])
    for said in (
        'Example 2 calls the value 1 "Liver", an earlier one "liver"',
        '"liver" has the value 1 in one example and 4 in another',
        "Example 4: The volume must be three-dimensional",
        'Example 5: The volume "scan" must hold a number in every voxel',
        "Example 6 must have one mask per label; found 3 masks and 2 labels",
        "Example 6 has the value 1 twice",
    ):
        assert said in str(error.value)


def test_no_example_is_no_task() -> None:
    with pytest.raises(InputError, match="At least one example"):
        shared_labels([])


def test_hundreds_of_labels_over_all_examples_are_refused() -> None:
    examples = []
    for start in (1, 41):
        labels = tuple(TaskLabel(value=value, name=str(value)) for value in range(start, start + 40))
        examples.append(Example(image(), image().with_array(np.ones((40, *SHAPE), np.uint8)), labels))
    with pytest.raises(InputError, match="at most 64 labels; the examples hold 80"):
        shared_labels(examples)
