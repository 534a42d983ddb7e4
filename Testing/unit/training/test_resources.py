"""Estimates before the run, and the way down when memory runs out."""

import pytest
import torch

from MaskWhatMattersLib.errors import JobError
from MaskWhatMattersLib.training.resource_estimate import ResourceEstimate, duration_words
from MaskWhatMattersLib.training.resources import OutOfMemoryLadder, Rung, estimate_resources

CPU = torch.device("cpu")
MIB = 2**20


class Lines:
    def __init__(self):
        self.lines = []

    def log(self, text):
        self.lines.append(text)


def test_an_estimate_is_said_in_words():
    estimate = ResourceEstimate(0.52, int(5.3 * 2**30), 12 * 2**30, 16 * 2**30, steps=15000)
    assert estimate.words() == "about 2 h 10 min, 5.3 GB of 16 GB"
    assert estimate.fits
    assert estimate.total_s == 7800


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.01, "1 s"), (59, "59 s"), (170, "3 min"), (3600, "1 h"), (7199, "2 h")]
)
def test_durations_are_said_as_people_do(seconds, words):
    assert duration_words(seconds) == words


def test_a_budget_holds_so_many_steps_and_at_least_one():
    estimate = ResourceEstimate(0.5, 1, 1, 1, steps=100)
    assert estimate.steps_within(2) == 240
    assert estimate.steps_within(0.001) == 1


def test_a_step_is_measured_and_its_memory_seen():
    def step():
        values = torch.ones(80 * MIB // 4)
        for _ in range(20):
            values.add_(1)

    idle = estimate_resources(lambda: None, steps=1, device=CPU)
    estimate = estimate_resources(step, steps=1000, device=CPU)
    assert estimate.peak_bytes - idle.peak_bytes > 60 * MIB
    assert 0 < idle.step_s < estimate.step_s < 5
    assert estimate.peak_bytes < estimate.available_bytes <= estimate.total_bytes + estimate.peak_bytes


def test_measuring_leaves_no_trace_in_the_training():
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.BatchNorm1d(2), torch.nn.Dropout(), torch.nn.Linear(2, 1))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    generator = torch.get_rng_state()
    estimate_resources(
        lambda: network(torch.rand(4, 2)).sum().backward(), steps=1, device=CPU, modules=[network], runs=2
    )
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert torch.equal(torch.get_rng_state(), generator)
    assert all(weight.grad is None for weight in network.parameters())


def needs(limit: int):
    def work(batch: int) -> str:
        if batch > limit:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")
        return f"done with {batch}"

    return work


RUNGS = [Rung("4 patches at a time", 4), Rung("2 patches at a time", 2), Rung("1 patch at a time", 1)]


def test_the_first_rung_that_fits_is_taken_and_told():
    progress = Lines()
    assert OutOfMemoryLadder(RUNGS, progress).run(needs(limit=1)) == "done with 1"
    assert progress.lines == [
        "Not enough memory with 4 patches at a time; going on with 2 patches at a time.",
        "Not enough memory with 2 patches at a time; going on with 1 patch at a time.",
    ]


def test_when_no_rung_fits_the_error_says_what_was_tried_and_what_to_do():
    with pytest.raises(JobError, match=r"4 patches at a time, 2 patches at a time, 1 patch at a time") as raised:
        OutOfMemoryLadder(RUNGS, Lines()).run(needs(limit=0))
    assert "smaller patches" in raised.value.hint
    assert "20.00 GiB" in raised.value.details


def test_a_real_failed_allocation_on_the_processor_goes_down_too():
    def work(elements: int) -> int:
        return torch.empty(elements, dtype=torch.uint8).numel()

    assert OutOfMemoryLadder([Rung("too much", 2**60), Rung("little", 8)], Lines()).run(work) == 8


def test_the_next_try_does_not_find_the_memory_of_the_failed_one_in_use():
    alive = []

    class Held:
        def __init__(self):
            alive.append(self)

        def __del__(self):
            seen.append("freed")

    seen = []

    def work(batch: int) -> list[str]:
        if batch == 1:
            return list(seen)
        held = Held()
        alive.clear()
        raise torch.cuda.OutOfMemoryError(f"CUDA out of memory with {held}")

    assert OutOfMemoryLadder([RUNGS[0], RUNGS[2]], Lines()).run(work) == ["freed"]


def test_any_other_error_stays_what_it_is():
    with pytest.raises(RuntimeError, match="tensor size"):
        OutOfMemoryLadder(RUNGS, Lines()).run(lambda batch: torch.ones(2) @ torch.ones(3))
