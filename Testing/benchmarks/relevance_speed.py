"""How long a prompt takes on a local worker, and what Slicer's process notices of it.

python Testing/benchmarks/relevance_speed.py [--json FILE]

Figures: the first prompt from a cold start and later ones on the warm worker, on 128^3 voxels, s; the longest time for
which a 10 ms timer on the main thread had to wait while jobs ran and their events were shown, ms; by how much the
main process grows at most during a job beyond the result, MB (the first job also loads Dask, once).
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import statistics
import time
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import numpy as np
import psutil
from PySide6.QtCore import QCoreApplication, Qt, QTimer

from MaskWhatMattersLib.jobs import Job, LocalWorkerRunner
from MaskWhatMattersLib.jobs.relevance_job import RelevanceSpec
from MaskWhatMattersLib.volumes import Volume

HEARTBEAT_MS = 10
DRAIN_MS = 100
PROMPTS = ("left lung", "right lung", "lungs", "left lung", "right lung")
LIMITS = {"warm_prompt_s": 3.0, "cold_prompt_s": 15.0, "gui_max_gap_ms": 100.0, "memory_growth_mb": 50.0}


class MainThread:
    """An event loop with a heartbeat and a timer that drains events, as in Slicer."""

    def __init__(self) -> None:
        self.application = QCoreApplication.instance() or QCoreApplication([])
        self.longest_gap_ms = 0.0
        self.peak_mb = 0.0
        self.events = 0
        self._last = time.perf_counter()
        self._job: Job | None = None
        self._heart = self._timer(HEARTBEAT_MS, self._beat)
        self._drain = self._timer(DRAIN_MS, self._look)

    def wait_for(self, job: Job) -> None:
        """Run the loop until the job has ended."""
        self._job = job
        self.peak_mb = resident_mb()
        self._last = time.perf_counter()
        self._heart.start()
        self._drain.start()
        self.application.exec()
        self._heart.stop()
        self._drain.stop()
        self._job = None

    def _timer(self, interval_ms: int, action: object) -> QTimer:
        timer = QTimer()
        timer.setTimerType(Qt.TimerType.PreciseTimer)
        timer.setInterval(interval_ms)
        timer.timeout.connect(action)
        return timer

    def _beat(self) -> None:
        now = time.perf_counter()
        self.longest_gap_ms = max(self.longest_gap_ms, (now - self._last) * 1000 - HEARTBEAT_MS)
        self._last = now
        self.peak_mb = max(self.peak_mb, resident_mb())

    def _look(self) -> None:
        assert self._job is not None
        self.events += len(self._job.events())
        if self._job.done():
            self.application.quit()


def resident_mb() -> float:
    """Memory of this process, MB."""
    return float(psutil.Process().memory_info().rss) / 1e6


def chest_ct(size: int = 128) -> Volume:
    """A body of soft tissue with two lungs of air, in HU, 3 mm voxels."""
    k, j, i = np.indices((size, size, size), dtype=np.float32) / size - 0.5
    array = np.where((j / 0.38) ** 2 + (i / 0.46) ** 2 < 1, 40, -1000).astype(np.int16)
    for side in (-0.2, 0.2):
        array[((i - side) / 0.14) ** 2 + (j / 0.25) ** 2 + (k / 0.4) ** 2 < 1] = -850
    array += np.random.default_rng(0).normal(0, 15, array.shape).astype(np.int16)
    affine = np.diag([-3.0, -3.0, 3.0, 1.0])
    return Volume(array[None], affine, name="chest", modality="CT")


def measure() -> dict[str, float]:
    """Run the prompts one after the other and take the figures."""
    volume = chest_ct()
    main_thread = MainThread()
    seconds, growth, kept = [], [], []  # results are kept, as Slicer keeps its nodes: freed memory would hide growth
    with LocalWorkerRunner() as runner:
        for prompt in PROMPTS:
            gc.collect()
            before = resident_mb()
            started = time.perf_counter()
            job = runner.submit(RelevanceSpec(prompts=(prompt,)), volume)
            main_thread.wait_for(job)
            seconds.append(time.perf_counter() - started)
            (answer,) = job.result(0)
            growth.append(main_thread.peak_mb - before - answer.volume.array.nbytes / 1e6)
            print(f"{prompt:12} {seconds[-1]:6.2f} s   {answer.verdict}, score {answer.score:.2f}: {answer.message}")
            kept.append(answer)
            del job, answer
    print(f"{main_thread.events} events shown")
    return {
        "warm_prompt_s": statistics.median(seconds[1:]),
        "cold_prompt_s": seconds[0],
        "gui_max_gap_ms": main_thread.longest_gap_ms,
        "memory_growth_mb": max(growth[1:]),
        "memory_first_job_mb": growth[0],
    }


def main() -> None:
    """Print and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the figures here")
    arguments = parser.parse_args()
    figures = {name: round(value, 3) for name, value in measure().items()}
    for name, value in figures.items():
        limit = f"   (at most {LIMITS[name]:g})" if name in LIMITS else ""
        print(f"{name:20} {value:8.2f}{limit}")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
