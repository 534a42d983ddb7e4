"""What a test does with the tab "Tune on my cases"."""

from __future__ import annotations

from typing import Any

import numpy as np

from mass_phantoms import NAMES, organ_subject
from tiny_tuning import SHAPE, SPACING, TINY

MARKED = ("liver", "spleen")


class TuneTab:
    """The tab, chosen, in the open module."""

    def __init__(self, host: Any, widget: Any) -> None:
        self.host, self.widget, self.panel, self.ui = host, widget, widget.tune, widget.tuneUi
        widget.ui.tabs.setCurrentIndex(1)
        host.process_events()

    @property
    def state(self) -> str:
        return self.panel.job.state

    def choose(self, combo: Any, data: str) -> None:
        combo.setCurrentIndex(combo.findData(data))

    def add_nodes(self, seed: int, marked: tuple[str, ...] = MARKED) -> tuple[Any, Any]:
        """A made-up body and the segmentation of some of its organs, each called as given."""
        from MaskWhatMattersLib.bridge.segmentations import add_segment

        image, labels = organ_subject(seed, SHAPE, SPACING)
        volume = self.host.add_volume(image.array[0], f"Patient {seed}", image.affine)
        node = self.host.slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", f"Organs {seed}")
        node.CreateDefaultDisplayNodes()
        node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
        for value, name in zip(NAMES, marked, strict=False):
            add_segment(node, name, labels.array[0] == value, image.affine, (value / 8, 0.5, 0.2))
        return volume, node

    def add_case(self, seed: int, marked: tuple[str, ...] = MARKED) -> None:
        """A row for a made-up body."""
        volume, node = self.add_nodes(seed, marked)
        self.ui.pairVolumeSelector.setCurrentNode(volume)
        self.ui.pairLabelSelector.setCurrentNode(node)
        self.ui.addPairButton.click()

    def add_cases(self, count: int) -> None:
        for seed in range(1, count + 1):
            self.add_case(seed)

    def tick(self, name: str, ticked: bool) -> None:
        import qt

        entries = self.ui.segmentList
        item = next(item for item in map(entries.item, range(entries.count)) if item.text() == name)
        item.setCheckState(qt.Qt.Checked if ticked else qt.Qt.Unchecked)
        self.host.process_events()

    def segments(self) -> list[str]:
        return [self.ui.segmentList.item(index).text() for index in range(self.ui.segmentList.count)]

    def table(self, table: Any) -> list[list[str]]:
        columns = [column for column in range(table.columnCount) if not table.isColumnHidden(column)]
        return [[table.item(row, column).text() for column in columns] for row in range(table.rowCount)]

    def tune(self, **settings: Any) -> None:
        """Press Tune, with a tiny network."""
        self.choose(self.ui.startCombo, "mass-test")
        self.panel.config = TINY | settings
        assert self.ui.applyButton.enabled, self.ui.applyButton.toolTip
        self.ui.applyButton.click()

    def wait(self, seconds: float = 120) -> None:
        """Until the tuning has ended."""
        self.host.wait_until(lambda: not self.panel.job.is_busy, seconds)

    def curves(self) -> dict[str, np.ndarray]:
        """What the plot view shows, points [N, 2] by name."""
        view = self.panel.curves.plot.view
        return view.host_curves() if view is not None else {}
