"""What a test does with the tab "Pretrain"."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

# One transformer block on crops of 16 voxels: a step takes milliseconds.
TINY = {
    "encoder": {"image_size": [16, 16, 16], "patch_size": [8, 8, 8], "width": 12, "depth": 1, "heads": 1},
    "decoder": {"depth": 1, "width": 8, "heads": 1},
    "preprocessing": {"spacing_mm": [2.0, 2.0, 2.0]},
    "size": [16, 16, 16],
    "batch_size": 2,
    "log_every": 2,
    "picture_every": 4,
    "save_every": 10,
}


class PretrainTab:
    """The tab, chosen, in the open module."""

    def __init__(self, host: Any, widget: Any) -> None:
        self.host, self.widget, self.panel, self.ui = host, widget, widget.pretrain, widget.pretrainUi
        self.panel.estimate.is_eager = False
        self.panel.config = dict(TINY)
        widget.ui.tabs.setCurrentIndex(1)
        host.wait_until(lambda: "Ready" in widget.ui.setupLabel.text, 60)

    @property
    def state(self) -> str:
        return self.panel.job.state

    @property
    def parameters(self) -> Any:
        return self.widget.logic.getParameterNode()

    def add_scan(self, seed: int) -> Any:
        """A bright ball in noise, on oblique axes with voxels of 2 mm."""
        a = np.radians(20)
        affine = np.eye(4)
        affine[:3, :3] = 2.0 * np.array([[-np.cos(a), np.sin(a), 0], [-np.sin(a), -np.cos(a), 0], [0, 0, 1]])
        grid = np.ogrid[-1:1:20j, -1:1:28j, -1:1:32j]
        ball = sum(axis**2 for axis in grid) < 0.3 + 0.05 * seed
        array = np.random.default_rng(seed).normal(200, 20, ball.shape) + 500 * ball
        return self.host.add_volume(array.astype(np.float32), f"Patient {seed}", affine)

    def choose(self, combo: Any, data: Any) -> None:
        index = combo.findData(data)
        assert index >= 0, f"{data} is not offered"
        combo.setCurrentIndex(index)
        combo.activated.emit(index)

    def tick_all(self) -> None:
        self.ui.tickAllButton.click()
        self.host.process_events()

    def listed(self) -> list[tuple[str, bool]]:
        """Names in the list of scans, and whether each is ticked."""
        import qt

        items = [self.ui.scanList.item(index) for index in range(self.ui.scanList.count)]
        return [(item.text(), item.checkState() == qt.Qt.Checked) for item in items]

    def train(self, **settings: Any) -> None:
        """Press Pretrain, with tiny networks."""
        self.panel.config = {**TINY, **settings}
        assert self.ui.applyButton.enabled, self.ui.applyButton.toolTip
        self.ui.applyButton.click()

    def wait(self, seconds: float = 180) -> None:
        """Until the pretraining has ended."""
        self.host.wait_until(lambda: not self.panel.job.is_busy, seconds)

    def wait_for_points(self, steps: int, seconds: float = 180) -> None:
        """Until the curve has come so far."""
        self.host.wait_until(lambda: self.panel.run is None or self.panel.run.steps >= steps, seconds)

    def wait_for_picture(self, seconds: float = 60) -> Any:
        """Until the picture shows the present settings; gives its figures."""
        preview = self.panel.masking.preview
        self.host.wait_until(lambda: not preview.is_busy, seconds)
        return preview.last

    def curve(self) -> np.ndarray:
        """Points of the loss, [N, 2]."""
        view = self.panel.progress.plot.view
        return view.host_curves()["Training loss"] if view is not None else np.zeros((0, 2))

    def plot_nodes(self) -> list[str]:
        classes = ("vtkMRMLPlotChartNode", "vtkMRMLPlotSeriesNode", "vtkMRMLTableNode", "vtkMRMLPlotViewNode")
        return [node.GetName() for name in classes for node in self.host.slicer.util.getNodesByClass(name)]

    def temporary_files(self) -> list[Path]:
        return [
            path for path in Path(self.host.slicer.app.temporaryPath).iterdir() if path.name[:4] in ("trai", "pict")
        ]
