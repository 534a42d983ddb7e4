"""Bias and limits of agreement of volumes."""

from __future__ import annotations

import numpy as np
import pytest

from MaskWhatMattersLib.evaluation.agreement import volume_agreement


def test_bias_and_limits_are_those_of_the_differences():
    found = volume_agreement([52, 61, 40, 75], [50, 60, 43, 71])
    differences = [2, 1, -3, 4]
    reach = 1.96 * np.sqrt(sum((d - 1) ** 2 for d in differences) / 3)
    assert (found.bias_ml, found.cases) == (1, 4)
    assert (found.lower_ml, found.upper_ml) == pytest.approx((1 - reach, 1 + reach))


def test_a_volume_that_is_nan_is_left_out_and_counted():
    found = volume_agreement([52, float("nan")], [50, 60])
    assert (found.bias_ml, found.cases, found.missing) == (2, 1, 1)


def test_limits_need_two_cases_and_a_bias_one():
    assert np.isnan(volume_agreement([52], [50]).upper_ml)
    assert np.isnan(volume_agreement([], []).bias_ml)


def test_volumes_without_their_truth_are_refused():
    with pytest.raises(ValueError, match="2 and 1"):
        volume_agreement([1, 2], [1])
