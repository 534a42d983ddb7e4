"""Some of a task's labels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.mass.example import TaskLabel
from MaskWhatMattersLib.mass.task import ReferenceCrop, Task
from MaskWhatMattersLib.mass.task_labels import with_labels

SIDE = (16, 16, 16)


def crop_of(example: int, labels: tuple[int, ...]) -> ReferenceCrop:
    masks = np.stack([np.full(SIDE, 10 * example + place, np.uint8) for place in labels])
    return ReferenceCrop(np.zeros(SIDE, np.float16), masks, labels, example)


@pytest.fixture
def task() -> Task:
    """Two examples; the first has labels 0 and 1 in crops of their own, the second has labels 1 and 2 in one crop."""
    labels = tuple(TaskLabel(value=value, name=name) for value, name in ((2, "liver"), (5, "spleen"), (9, "vein")))
    tokens = np.arange(2 * 3 * 4 * 6, dtype=np.float32).reshape(2, 3, 4, 6)
    present = np.array([[True, True, False], [False, True, True]])
    crops = (crop_of(0, (0,)), crop_of(0, (1,)), crop_of(1, (1, 2)))
    return Task(labels, (tokens, tokens + 1, tokens + 2), present, 1.5, "CT", "m 1", "0" * 64, crops=crops)


def test_labels_are_chosen_by_value_or_name(task):
    for chosen in (["9", "2"], ["Liver", "VEIN"]):
        assert [label.name for label in with_labels(task, chosen).labels] == ["liver", "vein"]


def test_tokens_follow_their_labels(task):
    some = with_labels(task, ["vein", "spleen"])
    np.testing.assert_array_equal(some.tokens[2], task.tokens[2][:, [1, 2]])
    np.testing.assert_array_equal(some.present, [[True, False], [True, True]])


def test_examples_without_a_chosen_label_are_left_out(task):
    some = with_labels(task, ["9"])
    np.testing.assert_array_equal(some.tokens[0], task.tokens[0][1:, 2:])
    (crop,) = some.crops
    assert (crop.example, crop.labels, crop.masks.max()) == (0, (0,), 12)


def test_a_task_without_its_examples_stays_without(task):
    assert with_labels(replace(task, crops=()), ["spleen"]).crops == ()


def test_a_label_that_the_task_does_not_have_is_refused(task):
    with pytest.raises(InputError, match="no label 3, heart; it has 2 liver, 5 spleen, 9 vein"):
        with_labels(task, ["3", "liver", "heart"])
