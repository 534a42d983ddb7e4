"""Tokens are averaged over the examples that have a label, or over those most like the query's object."""

from __future__ import annotations

import numpy as np
import torch

from MaskWhatMattersLib.mass.retrieval import mean_tokens, retrieved_tokens


def tokens(values: list[list[float]]) -> list[torch.Tensor]:
    """[R, K] numbers as tokens [R, K, 2, C] of two scales; the angle of each tells examples apart."""
    angle = torch.tensor(values, dtype=torch.float32)[..., None, None]
    pair = torch.cat([angle.cos(), angle.sin()], dim=-1)
    return [pair.expand(-1, -1, 2, -1).clone(), angle.expand(-1, -1, 2, 3).clone()]


def test_only_examples_that_have_a_label_count() -> None:
    present = np.array([[True, True], [True, False], [True, True]])
    (_, second) = mean_tokens(tokens([[1, 2], [2, 9], [6, 4]]), present)
    torch.testing.assert_close(second[:, 0, 0], torch.tensor([3.0, 3.0]))


def test_the_three_most_alike_are_chosen_for_each_label() -> None:
    examples = tokens([[0.0, 3.0], [0.1, 2.9], [0.2, 1.0], [1.5, 0.1], [3.0, 0.0]])
    query = [scale[0] for scale in tokens([[0.0, 0.0]])]
    (_, second) = retrieved_tokens(examples, np.ones((5, 2), bool), query, np.array([True, True]))
    torch.testing.assert_close(second[:, 0, 0], torch.tensor([0.1, (0.0 + 0.1 + 1.0) / 3]))


def test_an_example_without_the_label_is_never_chosen() -> None:
    examples = tokens([[0.0], [0.1], [0.2], [1.5], [3.0]])
    present = np.array([[False], [True], [True], [False], [False]])
    (_, second) = retrieved_tokens(examples, present, [scale[0] for scale in examples], np.array([True]))
    torch.testing.assert_close(second[0, 0, 0], torch.tensor(0.15))


def test_a_label_that_was_not_found_gets_the_mean() -> None:
    examples = tokens([[0.0], [0.2], [0.4], [3.0]])
    query = [torch.zeros_like(scale[0]) for scale in examples]
    (_, second) = retrieved_tokens(examples, np.ones((4, 1), bool), query, np.array([False]))
    torch.testing.assert_close(second[0, 0, 0], torch.tensor(0.9))
