"""Which cases are held out."""

from __future__ import annotations

import pytest

from MaskWhatMattersLib.mass.tune_cases import TuneCases, held_out_cases
from tiny_tuning import organ_examples

ALIKE = [{1, 2}] * 10


@pytest.mark.parametrize(("cases", "expected"), [(1, 0), (2, 0), (3, 1), (9, 1), (10, 2)])
def test_a_fifth_of_three_or_more_cases_only_measures(cases, expected):
    assert len(held_out_cases(ALIKE[:cases], 0.2, seed=0)) == expected


def test_the_choice_belongs_to_the_seed():
    chosen = {held_out_cases(ALIKE, 0.2, seed) for seed in range(8)}
    assert len(chosen) > 1
    assert held_out_cases(ALIKE, 0.2, 3) == held_out_cases(ALIKE, 0.2, 3)


def test_the_only_case_with_a_label_is_always_learned_from():
    labels = [{1, 2}, {1}, {1}]
    assert {held_out_cases(labels, 0.2, seed) for seed in range(20)} == {(1,), (2,)}


def test_no_case_is_held_out_where_none_can_be_spared():
    assert held_out_cases([{1}, {2}, {3}], 0.2, seed=0) == ()
    assert held_out_cases(ALIKE, 0.0, seed=0) == ()


def test_cases_are_told_apart_by_index():
    examples = organ_examples(3)
    cases = TuneCases(examples, (1,))
    assert cases.learned == (examples[0], examples[2])
    assert cases.measured == (examples[1],)
