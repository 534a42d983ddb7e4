"""How fast a training goes: samples and tokens per second, share of the device's peak, and time spent on batches."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from MaskWhatMattersLib.training.fabric import uncompiled
from MaskWhatMattersLib.training.resources import unchanged

_BF16_PEAKS = {
    "GB200": 2500e12,
    "B200": 2250e12,
    "H200": 989e12,
    "GH200": 989e12,
    "H100 PCIe": 756e12,
    "H100 NVL": 835e12,
    "H100": 989e12,
    "H800": 989e12,
    "A100": 312e12,
    "A800": 312e12,
    "L40S": 362e12,
    "L40": 181e12,
    "L4": 121e12,
    "A10G": 70e12,
    "A10": 125e12,
    "A30": 165e12,
    "A40": 150e12,
    "RTX A6000": 155e12,
    "RTX 6000 Ada": 364e12,
    "RTX 5090": 210e12,
    "RTX 4090": 165e12,
    "RTX 3090": 71e12,
}
"""Dense bfloat16 with float32 sums, FLOP/s, from the makers' data sheets; the first whole words that fit count."""


def _attention(query: Any, key: Any, value: Any, *rest: object, **named: object) -> int:
    return int(sdpa_flop_count(query, key, value))


def _attention_backward(gradient: Any, query: Any, key: Any, value: Any, *rest: object, **named: object) -> int:
    return 2 * int(sdpa_flop_count(query, key, value))


# torch (2.13) counts fused attention on GPUs only, and there what the backward pass computes again, too, which is no
# work of the model.
_ATTENTION = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention} | {
    getattr(torch.ops.aten, f"_scaled_dot_product_{kind}_backward"): _attention_backward
    for kind in ("flash_attention_for_cpu", "flash_attention", "efficient_attention", "cudnn_attention")
}

_MATRIX = 1024
_MATRIX_RUNS = 3


class Throughput:
    """Counts what a training loop does; figures are those since the last report.

    On a GPU, steps are queued faster than they run, so a report is right where the loop has just waited for the device
    anyway, as it does when it logs the loss.

    Args:
        device: Where the training runs.
        processes: How many do the same as this one; rates are those of all, the share of the peak is that of one.

    Attributes:
        flops_per_sample: Work of a sample, forward and backward, FLOP; 0 until `count` was called.
    """

    def __init__(self, device: torch.device | str, processes: int = 1) -> None:
        self.device = torch.device(device)
        self.processes = processes
        self.flops_per_sample = 0.0
        self._peak: float | None = None
        self._restart()

    def count(self, step: Callable[[], object], samples: int, modules: Sequence[nn.Module] = ()) -> None:
        """Run a step once, forward and backward but without the optimizer, to count its work.

        Elementwise work does not count.

        Args:
            step: What is counted.
            samples: How many images it takes.
            modules: Put back as they were and run uncompiled: what a compiled network does cannot be counted.
        """
        with ExitStack() as stack:
            stack.enter_context(unchanged(modules, self.device))
            for module in modules:
                stack.enter_context(uncompiled(module))
            self.flops_per_sample = count_flops(step) / samples
        if self.flops_per_sample:
            self._peak = peak_flops(self.device)
        self._restart()

    @contextmanager
    def loading(self) -> Iterator[None]:
        """Around everything that makes a batch: the loop waits for it."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self._loading_s += time.perf_counter() - started

    def step(self, samples: int, tokens: int) -> None:
        """A step is done, with so many samples and tokens, hidden ones included, in this process."""
        self._samples += samples
        self._tokens += tokens

    def report(self) -> dict[str, float]:
        """Figures since the last report, under names that go into a log.

        Returns:
            `samples_per_s` and `tokens_per_s` of all processes; `loader_wait`, the share of the time in which batches
            were made; `mfu`, model FLOPs utilization (Chowdhery et al. 2022, arXiv:2204.02311): work of the network as
            a share of what the device could do in that time. No `mfu` where work or peak are unknown.
        """
        seconds = max(time.perf_counter() - self._started, 1e-9)
        figures = {
            "samples_per_s": self._samples * self.processes / seconds,
            "tokens_per_s": self._tokens * self.processes / seconds,
            "loader_wait": self._loading_s / seconds,
        }
        if self._peak:
            figures["mfu"] = self._samples * self.flops_per_sample / seconds / self._peak
        self._restart()
        return figures

    def _restart(self) -> None:
        self._started = time.perf_counter()
        self._loading_s, self._samples, self._tokens = 0.0, 0, 0


def count_flops(work: Callable[[], object]) -> int:
    """FLOP of matrix products, convolutions and attention that some work does, 2 per multiplication and addition."""
    counter = FlopCounterMode(display=False, custom_mapping=_ATTENTION)
    with counter:
        work()
    return int(counter.get_total_flops())


def peak_flops(device: torch.device) -> float | None:
    """FLOP/s that a device is said to reach: bfloat16 on a GPU, None where its name is unknown.

    Of a processor, float32 in a product of large matrices with torch's present number of threads, measured now.
    """
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
        return next((peak for known, peak in _BF16_PEAKS.items() if re.search(rf"\b{known}\b", name)), None)
    if device.type != "cpu":
        return None
    matrix = torch.ones(_MATRIX, _MATRIX)
    times = []
    for _ in range(_MATRIX_RUNS + 1):
        started = time.perf_counter()
        torch.mm(matrix, matrix)
        times.append(time.perf_counter() - started)
    return float(2 * _MATRIX**3 / min(times[1:]))
