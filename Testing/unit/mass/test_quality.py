"""The estimate is the Dice of the examples, segmented as the result says."""

from __future__ import annotations

import numpy as np
import pytest

import bright_mass
from MaskWhatMattersLib.mass.encode import MarkEncoder
from MaskWhatMattersLib.mass.passes import MassPasses
from MaskWhatMattersLib.mass.quality import Quality, estimated_quality
from MaskWhatMattersLib.mass.task import ReferenceCrop
from MaskWhatMattersLib.progress import SilentProgress

SHAPE = (32, 32, 32)


def scan(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A bright block in noise, z-scored, and its mask."""
    random = np.random.default_rng(seed)
    k, j, i = random.integers(4, 16, 3)
    mask = np.zeros(SHAPE, np.uint8)
    mask[k : k + 10, j : j + 10, i : i + 10] = 1
    image = mask + 0.05 * random.standard_normal(SHAPE)
    return ((image - image.mean()) / image.std()).astype(np.float32), mask


def crop(seed: int, mask: np.ndarray | None = None, label: int = 0) -> ReferenceCrop:
    image, truth = scan(seed)
    return ReferenceCrop(image.astype(np.float16), (truth if mask is None else mask)[None], (label,), seed)


@pytest.fixture(scope="module")
def passes() -> MassPasses:
    return MassPasses(bright_mass.bright_network())


def estimated(passes: MassPasses, found: np.ndarray, references: list[ReferenceCrop]) -> Quality:
    return estimated_quality(MarkEncoder(passes), passes, scan(0)[0], found, references, 0.5, SilentProgress())


def test_it_is_high_where_the_examples_are_segmented_back(passes: MassPasses) -> None:
    quality = estimated(passes, scan(0)[1][None], [crop(1), crop(2)])
    assert quality.method == "reverse"
    assert quality.dice[0] > 0.9


def test_it_is_low_where_they_are_not(passes: MassPasses) -> None:
    elsewhere = np.zeros(SHAPE, np.uint8)
    elsewhere[26:] = 1
    assert estimated(passes, scan(0)[1][None], [crop(1, elsewhere)]).dice[0] < 0.1


def test_it_is_zero_for_what_was_not_found_and_unknown_without_an_example(passes: MassPasses) -> None:
    found = np.stack([scan(0)[1], np.zeros(SHAPE, np.uint8), scan(0)[1]])
    dice = estimated(passes, found, [crop(1), crop(2, label=1)]).dice
    assert dice[0] > 0.9
    assert dice[1] == 0
    assert np.isnan(dice[2])


def test_nothing_found_needs_no_pass(passes: MassPasses) -> None:
    quality = estimated(passes, np.zeros((2, *SHAPE), np.uint8), [])
    np.testing.assert_array_equal(quality.dice, [0, 0])
    assert quality.method == "self"


def test_three_examples_are_enough(passes: MassPasses) -> None:
    elsewhere = np.zeros(SHAPE, np.uint8)
    elsewhere[26:] = 1
    quality = estimated(passes, scan(0)[1][None], [*map(crop, (1, 2, 3)), crop(4, elsewhere)])
    assert quality.dice[0] > 0.9
