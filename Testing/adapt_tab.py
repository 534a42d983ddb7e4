"""What a test does with the tab "Adapt to my site"."""

from __future__ import annotations

from typing import Any

import numpy as np

# Two tiny V-Nets on small patches: a step takes milliseconds.
TINY = {
    "network": {"width": 2, "depth": 2},
    "preprocessing": {"spacing_mm": 2.0},
    "patch_size": [16, 16, 16],
    "labelled_per_batch": 1,
    "unlabelled_per_batch": 1,
    "log_every": 2,
    "validate_every": 4,
    "save_every": 10,
}


class AdaptTab:
    """The tab, chosen, in the open module."""

    def __init__(self, host: Any, widget: Any) -> None:
        self.host, self.widget, self.panel, self.ui = host, widget, widget.adapt, widget.adaptUi
        widget.ui.tabs.setCurrentIndex(1)
        host.process_events()

    @property
    def state(self) -> str:
        return self.panel.job.state

    def mask(self, seed: int) -> np.ndarray:
        """True atrium of a made-up scan, [D, H, W]."""
        from corn_phantoms import atrium_scan

        return atrium_scan(seed)[1].array[0] > 0

    def volume(self, seed: int) -> Any:
        return self.host.slicer.mrmlScene.GetFirstNodeByName(f"Patient {seed}")

    def add_nodes(self, seed: int) -> tuple[Any, Any]:
        """A made-up scan and its segmentation in the scene."""
        from corn_phantoms import atrium_scan

        image, label = atrium_scan(seed)
        volume = self.host.add_volume(image.array[0], f"Patient {seed}", image.affine)
        segmentation = self.host.slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", f"Atrium {seed}")
        segmentation.SetReferenceImageGeometryParameterFromVolumeNode(volume)
        self.add_segment(segmentation, "left atrium", label.array[0] > 0, image.affine)
        return volume, segmentation

    def add_segment(self, node: Any, name: str, mask: np.ndarray, affine: np.ndarray | None = None) -> None:
        from corn_phantoms import atrium_scan
        from MaskWhatMattersLib.bridge.segmentations import add_segment

        add_segment(node, name, mask, atrium_scan(0)[0].affine if affine is None else affine, (1, 0, 0))

    def choose_pair(self, volume: Any, segmentation: Any) -> None:
        self.ui.pairVolumeSelector.setCurrentNode(volume)
        self.ui.pairLabelSelector.setCurrentNode(segmentation)

    def add_pair(self, seed: int) -> None:
        """A row for a made-up scan."""
        self.choose_pair(*self.add_nodes(seed))
        self.ui.addPairButton.click()

    def tick(self, name: str, ticked: bool = True) -> None:
        import qt

        entries = self.ui.unlabelledList
        for index in range(entries.count):
            if entries.item(index).text() == name:
                entries.item(index).setCheckState(qt.Qt.Checked if ticked else qt.Qt.Unchecked)
        self.host.process_events()

    def listed(self) -> list[tuple[str, bool]]:
        """Names in the list of unlabelled scans, and whether each is ticked."""
        import qt

        items = [self.ui.unlabelledList.item(index) for index in range(self.ui.unlabelledList.count)]
        return [(item.text(), item.checkState() == qt.Qt.Checked) for item in items]

    def table(self) -> list[list[str]]:
        table = self.ui.labelledTable
        return [[table.item(row, column).text() for column in range(4)] for row in range(table.rowCount)]

    def from_scratch(self) -> None:
        self.ui.startCombo.setCurrentIndex(self.ui.startCombo.findData(""))

    def train(self, **settings: Any) -> None:
        """Press Train, with tiny networks."""
        self.panel.config = {**TINY, **settings}
        assert self.ui.applyButton.enabled, self.ui.applyButton.toolTip
        self.ui.applyButton.click()

    def wait(self, seconds: float = 180) -> None:
        """Until the training has ended."""
        self.host.wait_until(lambda: not self.panel.job.is_busy, seconds)

    def wait_for_points(self, steps: int, seconds: float = 180) -> None:
        """Until the curves have come so far."""
        self.host.wait_until(lambda: self.panel.run is None or self.panel.run.steps >= steps, seconds)

    def curves(self) -> dict[str, np.ndarray]:
        """What the plot view shows, points [N, 2] by name."""
        view = self.panel.curves.plot.view
        return view.host_curves() if view is not None else {}

    def plot_nodes(self) -> list[str]:
        classes = ("vtkMRMLPlotChartNode", "vtkMRMLPlotSeriesNode", "vtkMRMLTableNode", "vtkMRMLPlotViewNode")
        return [node.GetName() for name in classes for node in self.host.slicer.util.getNodesByClass(name)]
