"""Throughput: rates, waiting and the share of the peak."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from MaskWhatMattersLib.training import throughput
from MaskWhatMattersLib.training.throughput import Throughput, count_flops, peak_flops


class Clock:
    """Time that passes when it is told to: on a busy computer sleeping takes any time."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(throughput, "time", clock)
    return clock


def test_rates_are_those_since_the_last_report(clock):
    meter = Throughput("cpu")
    meter.step(samples=1000, tokens=5000)
    clock.now = 3
    meter.report()
    for clock.now in (5, 7):
        meter.step(samples=4, tokens=32)
    figures = meter.report()
    assert figures["samples_per_s"] == 2
    assert figures["tokens_per_s"] == 16
    clock.now = 8
    assert meter.report()["samples_per_s"] == 0


def test_processes_add_up_in_rates_but_not_in_shares(clock):
    figures = []
    for processes in (1, 4):
        meter = Throughput("meta", processes)
        meter.count(lambda: torch.ones(64, 64) @ torch.ones(64, 64), samples=1)
        meter._peak = 1e6  # a device without a name has none
        clock.now += 2
        meter.step(samples=1, tokens=1)
        figures.append(meter.report())
    assert [each["samples_per_s"] for each in figures] == [0.5, 2]
    assert [each["mfu"] for each in figures] == [64**3 / 1e6] * 2


def test_the_loader_wait_is_the_share_of_time_in_which_batches_are_made(clock):
    meter = Throughput("cpu")
    for _ in range(2):
        with meter.loading():
            clock.now += 1
        clock.now += 3
    assert meter.report()["loader_wait"] == 0.25


def test_a_batch_that_fails_is_timed_and_its_error_goes_on():
    meter = Throughput("cpu")
    with pytest.raises(KeyError), meter.loading():
        raise KeyError
    assert meter.report()["loader_wait"] > 0


def test_work_is_counted_forward_and_backward():
    layer, values = nn.Linear(8, 16, bias=False), torch.ones(4, 8, requires_grad=True)
    assert count_flops(lambda: layer(values)) == 2 * 4 * 8 * 16
    assert count_flops(lambda: layer(values).sum().backward()) == 3 * 2 * 4 * 8 * 16


def test_attention_is_counted():
    queries = torch.ones(1, 2, 5, 4, requires_grad=True)
    attend = lambda: nn.functional.scaled_dot_product_attention(queries, queries, queries)  # noqa: E731
    forward = 2 * (2 * 2 * 5 * 5 * 4)  # two products, two heads
    assert count_flops(attend) == forward
    assert count_flops(lambda: attend().sum().backward()) == 3 * forward  # what is computed again is no work


def test_the_share_of_the_peak_is_there_once_the_work_was_counted():
    meter = Throughput("cpu")
    assert "mfu" not in meter.report()
    matrix = torch.ones(512, 512)
    meter.count(lambda: matrix @ matrix, samples=2)
    assert meter.flops_per_sample == 512**3
    for _ in range(20):
        matrix @ matrix
        meter.step(samples=2, tokens=2)
    assert meter.report()["mfu"] > 0


def test_a_processor_reaches_what_it_reaches():
    assert 1e9 < peak_flops(torch.device("cpu")) < 1e14


@pytest.mark.parametrize(
    ("name", "peak"),
    [
        ("NVIDIA H200", 989e12),
        ("NVIDIA H100 80GB HBM3", 989e12),
        ("NVIDIA H100 PCIe", 756e12),
        ("NVIDIA A100-SXM4-80GB", 312e12),
        ("NVIDIA L40S", 362e12),
        ("NVIDIA A10G", 70e12),
        ("NVIDIA A40", 150e12),
        ("NVIDIA RTX A4000", None),
        ("NVIDIA GH200 480GB", 989e12),
        ("NVIDIA GB200", 2500e12),
        ("Somebody's GPU", None),
    ],
)
def test_gpus_are_known_by_name(monkeypatch, name, peak):
    monkeypatch.setattr(throughput.torch.cuda, "get_device_name", lambda device: name)  # there is none here
    assert peak_flops(torch.device("cuda")) == peak


def test_of_other_devices_nothing_is_known():
    assert peak_flops(torch.device("meta")) is None
