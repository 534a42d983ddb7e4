"""How long a prompt takes in the panel, and what Slicer's main thread notices of it.

python Testing/benchmarks/relevance_speed.py [--json FILE]

The panel runs on the test host: Apply is pressed, the volume node is read, the network runs in the worker process, and
overlay, segmentation and table are made on the main thread. What is missing beside Slicer is the drawing of the views.

Figures, on 128^3 voxels: the first prompt from a cold start and later ones on the warm worker, s; the longest time for
which a 10 ms timer on the main thread had to wait, ms, and how much of such a wait this thread worked by itself, which
other programs on the computer do not change; by how much the process grows at most during a later job, whose nodes are
updated, MB; the first job also loads Dask, once, and makes the nodes; a prompt for
lungs on CT, which are found without the network, s.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2] / "MaskWhatMatters")]

HEARTBEAT_MS = 10
SIZE = 128
NETWORK_STAGE = "Looking at the slices"
PROMPTS = ("brain",) * 4
LIMITS = {"warm_prompt_s": 3.0, "cold_prompt_s": 15.0, "gui_max_gap_ms": 100.0, "memory_growth_mb": 50.0}


class Heartbeat:
    """A timer on the main thread that notices when it was late, and how large the process is."""

    def __init__(self) -> None:
        from PySide6.QtCore import Qt, QTimer

        self.longest_gap_ms = self.longest_work_ms = self.peak_mb = 0.0  # of the present job
        self._last, self._worked = time.perf_counter(), time.thread_time()
        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.setInterval(HEARTBEAT_MS)
        self._timer.timeout.connect(self._beat)

    def start(self) -> None:
        """Beat from now on."""
        self.longest_gap_ms = self.longest_work_ms = 0.0
        self.peak_mb = resident_mb()
        self._last, self._worked = time.perf_counter(), time.thread_time()
        self._timer.start()

    def stop(self) -> None:
        """Notice the wait until now and stop."""
        self._beat()
        self._timer.stop()

    def _beat(self) -> None:
        now, worked = time.perf_counter(), time.thread_time()
        self.longest_gap_ms = max(self.longest_gap_ms, (now - self._last) * 1000 - HEARTBEAT_MS)
        self.longest_work_ms = max(self.longest_work_ms, (worked - self._worked) * 1000)
        self.peak_mb = max(self.peak_mb, resident_mb())
        self._last, self._worked = time.perf_counter(), time.thread_time()


class PanelUser:
    """Presses Apply and waits in Qt's event loop, as Slicer does."""

    def __init__(self, host: Any) -> None:
        self.host, self.widget = host, host.open_module("MaskWhatMatters")
        self.ui, self.heartbeat = self.widget.ui, Heartbeat()
        self.growth_mb: list[float] = []
        self.gap_ms: list[float] = []
        self.work_ms: list[float] = []

    def ask(self, node: Any, prompt: str, modality: str) -> float:
        """Seconds from the click until the answer is on screen.

        Raises:
            RuntimeError: The job failed or found nothing, so that the figure would mean nothing.
        """
        from PySide6.QtCore import QEventLoop, QTimer

        ui, job = self.ui, self.widget.panel.job
        ui.inputSelector.setCurrentNode(node)
        ui.modalityCombo.setCurrentIndex(ui.modalityCombo.findData(modality))
        ui.promptEdit.setPlainText(prompt)
        self.host.process_events()
        gc.collect()
        loop, watch, ended = QEventLoop(), QTimer(), []
        watch.setInterval(HEARTBEAT_MS)
        watch.timeout.connect(lambda: None if job.is_busy else (ended.append(time.perf_counter()), loop.quit()))
        before = resident_mb()
        self.heartbeat.start()
        started = time.perf_counter()
        ui.applyButton.click()
        watch.start()
        loop.exec()
        watch.stop()
        self.heartbeat.stop()
        table = ui.resultTable
        told = [table.item(table.currentRow(), column).text() for column in range(4)] if table.rowCount else []
        if job.state != "done" or told[1] != "found":
            raise RuntimeError(f'"{prompt}" {job.state}: {told} {ui.failureLabel.text} {ui.applyButton.toolTip}')
        seconds = ended[0] - started
        self.growth_mb.append(self.heartbeat.peak_mb - before)
        self.gap_ms.append(self.heartbeat.longest_gap_ms)
        self.work_ms.append(self.heartbeat.longest_work_ms)
        print(f"{prompt:18} {seconds:7.2f} s   {' '.join(told[1:])}")
        return seconds

    def stages(self) -> list[str]:
        """What the last job said that it did."""
        return str(self.ui.logText.toPlainText()).splitlines()


def resident_mb() -> float:
    """Memory of this process, MB."""
    return float(psutil.Process().memory_info().rss) / 1e6


def brain_mr(size: int = SIZE) -> Any:
    """T1-like head on 1 mm voxels, [D, H, W]: scalp, skull, grey and white matter, ventricles, two hippocampi."""
    scale = 128.0 / size
    k, j, i = (np.indices((size,) * 3, dtype=np.float32) - (size - 1) / 2) * scale
    head = np.zeros((size,) * 3, np.float32)

    def fill(center: tuple[float, float, float], radii: tuple[float, float, float], value: float) -> None:
        distance = sum(((axis - at) / radius) ** 2 for axis, at, radius in zip((k, j, i), center, radii, strict=True))
        head[distance < 1] = value

    for radii, value in (((60, 62, 52), 250), ((56, 58, 48), 60), ((53, 55, 45), 400), ((48, 49, 40), 560)):
        fill((0, 0, 0), radii, value)
    for side in (-1, 1):
        fill((4, 4, side * 8), (12, 22, 5), 120)
        fill((-14, 8, side * 26), (7, 18, 6), 380)
    return head + np.random.default_rng(0).normal(0, 12, head.shape).astype(np.float32)


def chest_ct(size: int = SIZE) -> Any:
    """A body of soft tissue with two lungs of air, in HU, [D, H, W]."""
    k, j, i = np.indices((size, size, size), dtype=np.float32) / size - 0.5
    array = np.where((j / 0.38) ** 2 + (i / 0.46) ** 2 < 1, 40, -1000).astype(np.int16)
    for side in (-0.2, 0.2):
        array[((i - side) / 0.14) ** 2 + (j / 0.25) ** 2 + (k / 0.4) ** 2 < 1] = -850
    return array + np.random.default_rng(0).normal(0, 15, array.shape).astype(np.int16)


def measure() -> dict[str, float]:
    """Run the prompts one after the other and take the figures."""
    from host import start_host

    host = start_host()
    from MaskWhatMattersLib.bridge.jobs import close_runners  # needs Slicer's modules, which the host provides

    brain = host.add_volume(brain_mr(), "brain", np.diag([1.0, 1.0, 1.0, 1.0]))
    chest = host.add_volume(chest_ct(), "chest", np.diag([-3.0, -3.0, 3.0, 1.0]))
    user = PanelUser(host)
    host.wait_until(lambda: "Ready on" in user.ui.setupLabel.text, 120)
    try:
        seconds = []
        for prompt in PROMPTS:
            seconds.append(user.ask(brain, prompt, "MR"))
            if NETWORK_STAGE not in user.stages():
                raise RuntimeError(f"The network did not run, so the figures would mean nothing: {user.stages()}")
        growth, gap, work = list(user.growth_mb), list(user.gap_ms), list(user.work_ms)
        lungs = user.ask(chest, "lungs", "CT")
    finally:
        close_runners()
    host.check_nothing_escaped()
    return {
        "warm_prompt_s": statistics.median(seconds[1:]),
        "cold_prompt_s": seconds[0],
        "gui_max_gap_ms": max(gap),
        "gui_first_job_work_ms": work[0],
        "gui_later_jobs_gap_ms": max(gap[1:]),
        "gui_later_jobs_work_ms": max(work[1:]),
        "memory_growth_mb": max(growth[1:]),
        "memory_first_job_mb": growth[0],
        "warm_ct_lungs_s": lungs,
    }


def main() -> None:
    """Print and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the figures here")
    arguments = parser.parse_args()
    figures = {name: round(value, 3) for name, value in measure().items()}
    for name, value in figures.items():
        limit = f"   (at most {LIMITS[name]:g})" if name in LIMITS else ""
        print(f"{name:24} {value:8.2f}{limit}")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
