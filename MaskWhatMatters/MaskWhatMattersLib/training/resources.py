"""How much memory and time a training will take, before it starts, and what to do when memory runs out."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Generic, NamedTuple, TypeVar

import psutil  # type: ignore[import-untyped]
import torch
from torch import nn

from MaskWhatMattersLib.errors import JobError
from MaskWhatMattersLib.progress import Progress
from MaskWhatMattersLib.training.resource_estimate import ResourceEstimate

_SAMPLE_S = 0.005

Settings = TypeVar("Settings")
Result = TypeVar("Result")


def estimate_resources(
    step: Callable[[], object], *, steps: int, device: torch.device, modules: Sequence[nn.Module] = (), runs: int = 1
) -> ResourceEstimate:
    """Measure a real step, forward and backward, and project it on the whole training.

    Args:
        step: Does one step; called `runs` + 1 times, since the first call also loads libraries and picks algorithms.
        steps: Steps of the training.
        device: Where it runs.
        modules: Put back as they were, gradients removed; so are torch's random numbers. An optimizer is not, so
            `step` must not call one.
        runs: Timed calls; the fastest counts.
    """
    with unchanged(modules, device), _PeakMemory(device) as memory:
        step()
        times = []
        for _ in range(runs):
            started = time.perf_counter()
            step()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            times.append(time.perf_counter() - started)
    available, total = _memory(device)
    return ResourceEstimate(min(times), memory.peak_bytes, available, total, steps)


class Rung(NamedTuple, Generic[Settings]):
    """One way to do the work.

    Attributes:
        words: For the log, such as "half the patches at a time".
        settings: Given to the work.
    """

    words: str
    settings: Settings


class OutOfMemoryLadder(Generic[Settings]):
    """Does some work, each time memory runs out with less of it.

    Args:
        rungs: From the first choice to the last resort, such as smaller batches with accumulated gradients, then
            gradient checkpointing, then the processor.
        progress: Told which rung is taken.
    """

    def __init__(self, rungs: Sequence[Rung[Settings]], progress: Progress) -> None:
        self.rungs = tuple(rungs)
        self.progress = progress

    def run(self, work: Callable[[Settings], Result]) -> Result:
        """The result of the first rung that has enough memory. Work that is called again must begin afresh or resume.

        Raises:
            JobError: No rung has. Or there are several processes, which would not go down together.
        """
        for index, rung in enumerate(self.rungs):
            try:
                return work(rung.settings)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                what = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            # Only here is the error gone, and with it the frames that hold the tensors of the failed try.
            _free()
            following = self.rungs[index + 1 :]
            if not following or _has_peers():
                break
            self.progress.log(f"Not enough memory with {rung.words}; going on with {following[0].words}.")
        tried = ", ".join(rung.words for rung in self.rungs[: index + 1])
        raise JobError(
            f"There is not enough memory for this work. Tried: {tried}.",
            details=what,
            hint="Choose smaller patches or a narrower network, close other programs, or use a larger device.",
        )


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory ran out, on a GPU or not."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(
        words in text
        for words in ("not enough memory", "defaultcpuallocator", "can't allocate memory", "out of memory")
    )


class _PeakMemory:
    """The most memory in use between enter and exit, `peak_bytes`."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.peak_bytes = 0

    def __enter__(self) -> _PeakMemory:
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
            return self
        self._process, self._stop = psutil.Process(), threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self.device.type == "cuda":
            self.peak_bytes = torch.cuda.max_memory_allocated(self.device)
            return
        self._stop.set()
        self._watcher.join()
        self._look()

    def _watch(self) -> None:
        while not self._stop.wait(_SAMPLE_S):
            self._look()

    def _look(self) -> None:
        self.peak_bytes = max(self.peak_bytes, self._process.memory_info().rss)


@contextmanager
def unchanged(modules: Sequence[nn.Module], device: torch.device) -> Iterator[None]:
    """Put back weights, buffers and random numbers, and drop gradients."""
    kept = [{name: value.detach().clone() for name, value in module.state_dict().items()} for module in modules]
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        try:
            yield
        finally:
            for module, state in zip(modules, kept, strict=True):
                module.load_state_dict(state)
                module.zero_grad(set_to_none=True)


def _memory(device: torch.device) -> tuple[int, int]:
    """Memory that this program has or could get, and all of the device, bytes."""
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device), total
    memory = psutil.virtual_memory()
    return memory.available + psutil.Process().memory_info().rss, memory.total


def _free() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _has_peers() -> bool:
    return (
        torch.distributed.is_available()
        and torch.distributed.is_initialized()
        and torch.distributed.get_world_size() > 1
    )
