"""Settings of a tuning: what depends on the mode, and when there is a baseline."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from MaskWhatMattersLib.mass.tune_config import MassTuneConfig


def test_the_mode_decides_what_nobody_set():
    tokens, full = MassTuneConfig().recipe, MassTuneConfig(mode="full").recipe
    assert (tokens.steps, tokens.decay, tokens.weight_decay) == (150, 0.0, 0.0)
    assert (full.steps, full.decay, full.network_rate) == (5000, 0.999, 5e-4)


def test_what_was_set_wins_even_if_it_is_zero():
    recipe = MassTuneConfig(mode="full", steps=7, token_rate=0.1, weight_decay=0, average=0).recipe
    assert recipe == (7, 0.1, 5e-4, 0, 0)


@pytest.mark.parametrize(("baseline", "cases", "expected"), [(None, 4, False), (None, 5, True), (True, 1, True)])
def test_the_baseline_comes_with_five_cases_or_when_asked_for(baseline, cases, expected):
    assert MassTuneConfig(baseline=baseline).has_baseline(cases) is expected


def test_a_window_that_the_network_cannot_halve_is_refused():
    with pytest.raises(ValidationError, match="multiple of 16"):
        MassTuneConfig(window=40)
