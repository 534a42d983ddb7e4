"""Figures for the clinician, against literal definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest

from MaskWhatMattersLib.corn.report import ReviewLimits, boundary_entropy, dice, review_reasons
from MaskWhatMattersLib.datasets.cases import looks_like_ct
from MaskWhatMattersLib.volumes import Volume

BALL = np.hypot(np.hypot(*np.indices((13, 13, 13))[:2] - 6), np.indices((13, 13, 13))[2] - 6) < 4.5
LIMITS = ReviewLimits()


def test_dice_is_twice_the_overlap_over_the_sum() -> None:
    first, second = np.array([1, 1, 1, 0], bool), np.array([0, 1, 1, 0], bool)
    assert dice(first, second) == pytest.approx(0.8)
    assert math.isnan(dice(first & False, second & False))


@pytest.mark.parametrize(("probability", "entropy"), [(0.5, 1.0), (1.0, 0.0), (0.0, 0.0), (0.9, 0.468996)])
def test_the_entropy_is_a_share_of_ln_2(probability: float, entropy: float) -> None:
    values = np.full(BALL.shape, probability, np.float32)
    assert boundary_entropy(values, BALL) == pytest.approx(entropy, abs=1e-5)


def test_only_the_outermost_voxels_count() -> None:
    shell = np.zeros_like(BALL)
    for k, j, i in np.argwhere(BALL):
        neighbours = [(k - 1, j, i), (k + 1, j, i), (k, j - 1, i), (k, j + 1, i), (k, j, i - 1), (k, j, i + 1)]
        shell[k, j, i] = not all(BALL[each] for each in neighbours)
    probability = np.where(shell, 0.9, 0.5).astype(np.float32)
    assert boundary_entropy(probability, BALL) == pytest.approx(0.468996, abs=1e-5)


def test_the_end_of_the_scan_is_no_border() -> None:
    half = BALL[6:]
    probability = np.full(half.shape, 1.0, np.float32)
    probability[0, 5:8, 5:8] = 0.5
    assert boundary_entropy(probability, half) == 0.0


def test_without_a_border_there_is_no_entropy() -> None:
    everything = np.ones((3, 3, 3), bool)
    assert math.isnan(boundary_entropy(np.ones((3, 3, 3), np.float32), everything))
    assert math.isnan(boundary_entropy(np.ones((3, 3, 3), np.float32), ~everything))


def test_a_usual_result_needs_no_review() -> None:
    assert review_reasons(60.0, 0.95, 0.5, LIMITS) == ()


@pytest.mark.parametrize(
    ("figures", "reason"),
    [
        ((5.0, 0.95, 0.5), "unusually small: 5.0 mL"),
        ((400.0, 0.95, 0.5), "unusually large: 400.0 mL"),
        ((60.0, 0.5, 0.5), "agreement 50.0 %, below 85 %"),
        ((60.0, math.nan, 0.5), "disagree"),
        ((60.0, 0.95, 0.9), "entropy 0.90, above 0.8"),
        ((0.0, math.nan, math.nan), "no left atrium found"),
    ],
)
def test_what_is_unusual_is_said(figures: tuple[float, float, float], reason: str) -> None:
    (found,) = review_reasons(*figures, LIMITS)
    assert reason in found


def test_several_reasons_are_all_given_and_ct_comes_first() -> None:
    reasons = review_reasons(5.0, 0.2, 0.99, LIMITS, is_ct=True)
    assert len(reasons) == 4
    assert "made for MR" in reasons[0]


@pytest.mark.parametrize(
    ("darkest", "modality", "is_ct"), [(-1000, None, True), (0, None, False), (0, "CT", True), (-1000, "MR", False)]
)
def test_a_scan_of_unknown_kind_is_judged_by_its_air(darkest: int, modality: str | None, is_ct: bool) -> None:
    array = np.linspace(darkest, 900, 27).reshape(1, 3, 3, 3)
    assert looks_like_ct(Volume(array, np.eye(4), modality=modality)) is is_ct
