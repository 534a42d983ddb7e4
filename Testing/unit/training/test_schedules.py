"""Learning rates over the steps, and things that happen every so often."""

import pytest
import torch

from MaskWhatMattersLib.training.schedules import due, poly, schedule_factor, set_learning_rate, warmup_cosine


def test_the_cosine_warms_up_peaks_and_falls_to_its_floor():
    values = [warmup_cosine(step, warmup=10, total=100) for step in range(101)]
    assert values[0] == pytest.approx(0.1)
    assert max(values) == pytest.approx(1.0)
    assert values.index(max(values)) in (9, 10)
    assert values[100] == pytest.approx(0.01)


def test_the_polynomial_falls_from_one_to_zero_and_stays_there():
    assert poly(0, total=100) == 1
    assert poly(50, total=100) == pytest.approx(0.5**0.9)
    assert poly(100, total=100) == poly(120, total=100) == 0


def test_a_constant_schedule_only_warms_up():
    assert [schedule_factor("constant", step, total=9, warmup=4) for step in (0, 1, 3, 8)] == [0.25, 0.5, 1, 1]
    assert schedule_factor("constant", 0, total=9) == 1


def test_a_warmed_up_polynomial_ends_where_the_plain_one_does():
    assert schedule_factor("poly", 0, total=10, warmup=2) == pytest.approx(0.5)
    assert schedule_factor("poly", 7, total=10, warmup=2) == schedule_factor("poly", 7, total=10)


def test_the_cosine_is_chosen_by_name():
    assert schedule_factor("cosine", 5, total=10, warmup=2) == warmup_cosine(5, total=10, warmup=2)


def test_an_unknown_schedule_names_those_there_are():
    with pytest.raises(ValueError, match="constant, poly, cosine"):
        schedule_factor("stairs", 0, total=1)


def test_the_learning_rate_is_set_for_all_parameters():
    layers = torch.nn.Linear(1, 1), torch.nn.Linear(1, 1)
    optimizer = torch.optim.SGD([{"params": layer.parameters(), "lr": 1.0} for layer in layers])
    set_learning_rate(optimizer, 0.25)
    assert [group["lr"] for group in optimizer.param_groups] == [0.25, 0.25]


def test_due_is_every_so_many_steps_and_never_for_zero():
    assert [step for step in range(1, 10) if due(step, 4)] == [4, 8]
    assert not due(4, 0)
