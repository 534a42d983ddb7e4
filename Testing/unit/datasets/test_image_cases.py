"""What is known about the images of a training."""

from __future__ import annotations

from pathlib import Path

from MaskWhatMattersLib.datasets.image_cases import ImageCase, ImageCases

CASES = ImageCases(
    tuple(
        ImageCase(name, Path(name), name, split, class_name)
        for name, split, class_name in (("a", "train", "z"), ("b", "val", "y"), ("c", "train", None))
    )
)


def test_classes_are_sorted():
    assert CASES.classes == ("y", "z")


def test_cases_of_a_split_keep_their_order():
    assert [case.name for case in CASES.of("train")] == ["a", "c"]
