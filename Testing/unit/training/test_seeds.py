"""Randomness that belongs to the step."""

import itertools

import torch

from MaskWhatMattersLib.training.seeds import seed_step, step_seed


def test_steps_and_ranks_draw_different_seeds():
    seeds = {step_seed(seed, rank, step) for seed in range(3) for rank in range(3) for step in range(50)}
    assert len(seeds) == 450


def test_no_process_repeats_what_another_drew_earlier():
    first = {step_seed(1337, 0, step) for step in range(100_000)}
    assert first.isdisjoint(step_seed(1337, 1, step) for step in range(100_000))


def test_dropout_in_a_step_does_not_depend_on_what_was_drawn_before():
    seed_step(1, 0, 5)
    dropped = torch.nn.functional.dropout(torch.ones(100))
    assert seed_step(1, 0, 5) == step_seed(1, 0, 5)
    assert torch.equal(dropped, torch.nn.functional.dropout(torch.ones(100)))
    assert not torch.equal(dropped, torch.nn.functional.dropout(torch.ones(100)))


def test_streams_processes_and_steps_never_share_a_seed() -> None:
    drawn = [
        step_seed(seed, rank, step, stream)
        for seed, rank, step, stream in itertools.product((0, 1337), range(8), range(0, 300_000, 999), range(4))
    ]
    assert len(set(drawn)) == len(drawn)
