"""Where the network looks, and with which examples; the network itself is replaced by a threshold."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from MaskWhatMattersLib.mass.encode import MarkEncoder
from MaskWhatMattersLib.mass.example import TaskLabel
from MaskWhatMattersLib.mass.look import Look, Seen
from MaskWhatMattersLib.mass.passes import MassPasses, Predictor
from MaskWhatMattersLib.mass.settings import SegmentSettings
from MaskWhatMattersLib.mass.task import Task
from MaskWhatMattersLib.progress import SilentProgress
from tiny_mass import tiny_network


class Threshold(MassPasses):
    """Sees bright things, and keeps the tokens that it was asked to see them with."""

    asked: list[torch.Tensor]

    def predictor(self, tokens: Sequence[torch.Tensor]) -> Predictor:
        self.asked = [*getattr(self, "asked", []), tokens[0]]
        return lambda images: (20 * (images - 0.5)).sigmoid()


@pytest.fixture
def passes() -> Threshold:
    return Threshold(tiny_network(window=16))


def task(examples: int) -> Task:
    random = np.random.default_rng(0)
    tokens = tuple(random.normal(size=(examples, 1, 4, wide)).astype(np.float32) for wide in (32, 16, 8))
    present = np.ones((examples, 1), bool)
    return Task((TaskLabel(value=1, name="block"),), tokens, present, 4.0, None, "model 1", "a" * 64)


def scan() -> torch.Tensor:
    image = torch.zeros(33, 40, 90)
    image[10:20, 12:22, 4:14] = 1
    return image


def seen(passes: MassPasses, examples: int = 1, **settings) -> Seen:
    applied = task(examples)
    look = Look(passes, MarkEncoder(passes), applied, SegmentSettings(**settings), SilentProgress())
    return look(scan(), [torch.from_numpy(scale) for scale in applied.tokens])


def test_skipping_leaves_windows_out_and_changes_nothing_near_the_structure(passes: Threshold) -> None:
    few, every = seen(passes), seen(passes, skip_empty=False)
    assert few.windows == every.windows == every.looked_at
    assert few.looked_at < every.windows / 2
    torch.testing.assert_close(few.probabilities[0, 5:25, 7:27, :19], every.probabilities[0, 5:25, 7:27, :19])
    assert (few.probabilities > 0.5).sum() == 1000


def test_windows_overlap_as_the_settings_say(passes: Threshold) -> None:
    assert seen(passes, overlap=0.0).windows == 3 * 3 * 6
    assert seen(passes).windows == 3 * 3 * 8  # a quarter on a processor


@pytest.mark.parametrize("skip_empty", [True, False])
def test_examples_are_chosen_by_a_first_look(passes: Threshold, skip_empty: bool) -> None:
    seen(passes, examples=4, skip_empty=skip_empty)
    mean, chosen = passes.asked
    tokens = torch.from_numpy(task(4).tokens[0])
    torch.testing.assert_close(mean, tokens.mean(0))
    three = [(tokens.sum(0) - tokens[left_out]) / 3 for left_out in range(4)]
    assert any(torch.allclose(chosen, each) for each in three)


def test_few_examples_are_averaged_and_one_is_never_chosen_from(passes: Threshold) -> None:
    seen(passes, examples=3)
    seen(passes, examples=4, retrieval=False)
    seen(passes, examples=1, retrieval=True)
    assert len(passes.asked) == 3


def test_what_a_first_look_does_not_find_leaves_the_mean(passes: Threshold) -> None:
    applied = task(4)
    look = Look(passes, MarkEncoder(passes), applied, SegmentSettings(skip_empty=False), SilentProgress())
    look(torch.zeros(20, 20, 20), [torch.from_numpy(scale) for scale in applied.tokens])
    assert len(passes.asked) == 1
