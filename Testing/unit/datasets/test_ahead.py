"""Answers that are made ahead: in order, not too many, errors where they belong."""

from __future__ import annotations

import threading
import time

import pytest

from MaskWhatMattersLib.datasets.ahead import ahead


def test_answers_come_in_order_whatever_takes_long():
    def slow(number: int) -> int:
        time.sleep(0.01 * (number % 3))
        return number * 2

    assert [(item, answer()) for item, answer in ahead(slow, range(12), 4)] == [(i, 2 * i) for i in range(12)]


def test_an_error_is_raised_for_its_own_item_alone():
    def refuse(number: int) -> int:
        if number == 1:
            raise ValueError("one")
        return number

    found = list(ahead(refuse, range(3), 2))
    assert (found[0][1](), found[2][1]()) == (0, 2)
    with pytest.raises(ValueError, match="one"):
        found[1][1]()


def test_only_a_few_are_made_before_they_are_taken():
    made: list[int] = []
    answers = ahead(made.append, range(100), 2)
    next(answers)
    time.sleep(0.05)
    assert len(made) <= 4
    answers.close()
    assert len(made) <= 4


def test_threads_work_at_the_same_time():
    together = threading.Barrier(3, timeout=5)
    assert len([answer() for _, answer in ahead(lambda _: together.wait(), range(3), 3)]) == 3


def test_there_may_be_nothing():
    assert list(ahead(str, [])) == []
