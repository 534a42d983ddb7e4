"""Dice and Jaccard against loops and against MONAI."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.metrics import compute_dice, compute_iou

from MaskWhatMattersLib.errors import GeometryError
from MaskWhatMattersLib.evaluation.overlap import dice, jaccard
from unit.evaluation.literal_metrics import counts, random_masks

SEEDS = st.integers(0, 10_000)

quick = settings(max_examples=40, deadline=None)


@quick
@given(SEEDS)
def test_both_equal_their_definition(seed):
    prediction, truth = random_masks(seed)
    predicted, true, common = counts(prediction, truth)
    assert dice(prediction, truth) == pytest.approx(2 * common / (predicted + true))
    assert jaccard(prediction, truth) == pytest.approx(common / (predicted + true - common))


@quick
@given(SEEDS)
def test_both_are_symmetric_and_tied_to_each_other(seed):
    prediction, truth = random_masks(seed)
    assert dice(prediction, truth) == dice(truth, prediction)
    assert jaccard(prediction, truth) == jaccard(truth, prediction)
    assert dice(prediction, truth) == pytest.approx(2 * jaccard(prediction, truth) / (1 + jaccard(prediction, truth)))


def test_both_equal_monai():
    prediction, truth = random_masks(1)
    tensors = [torch.from_numpy(mask)[None, None].float() for mask in (prediction, truth)]
    assert dice(prediction, truth) == pytest.approx(compute_dice(*tensors).item())
    assert jaccard(prediction, truth) == pytest.approx(compute_iou(*tensors).item())


def test_identical_masks_overlap_fully_in_two_dimensions_too():
    mask, _ = random_masks(3, (6, 5))
    assert dice(mask, mask) == 1
    assert jaccard(mask, mask) == 1


def test_numbers_count_as_inside_unless_they_are_zero():
    assert dice(np.array([0, 1, 255]), np.array([0.0, 0.5, 0.0])) == pytest.approx(2 / 3)


@pytest.mark.parametrize("metric", [dice, jaccard])
def test_one_empty_mask_is_no_overlap_and_two_are_undefined(metric):
    full, empty = np.ones((2, 2), bool), np.zeros((2, 2), bool)
    assert metric(empty, full) == 0
    assert metric(full, empty) == 0
    assert np.isnan(metric(empty, empty))


def test_masks_of_different_shapes_are_refused_with_both_shapes():
    with pytest.raises(GeometryError, match=r"\(2, 3\) and \(3, 2\)"):
        dice(np.ones((2, 3)), np.ones((3, 2)))
