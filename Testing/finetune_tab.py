"""What a test does with the tab "Finetune"."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

# A residual U-Net with two stages on small patches: a step takes milliseconds.
ENCODER = {"kind": "residual", "spatial_dims": 3, "widths": [4, 8], "blocks": [1, 1]}
TINY = {
    "encoder": ENCODER,
    "preprocessing": {"spatial_dims": 3, "spacing_mm": [2.0, 2.0, 2.0]},
    "size": [16, 16, 16],
    "batch_size": 2,
    "log_every": 2,
    "validate_every": 4,
    "save_every": 10,
}
RECIPE = {name: value for name, value in TINY.items() if name not in ("encoder", "preprocessing", "size")}


def save_tiny_encoder(folder: Path, name: str, *, research_only: bool = False, **encoder: Any) -> Path:
    """An encoder with random weights, as a pretraining leaves it; fields of `encoder` replace those of `ENCODER`."""
    from MaskWhatMattersLib.models import ModelCard, save_model
    from MaskWhatMattersLib.networks.encoders import ENCODER_CONFIG, make_encoder

    config = ENCODER_CONFIG.validate_python({**ENCODER, **encoder})
    card = ModelCard(
        name=name,
        version="0.0.1",
        architecture="encoder",
        config=config.model_dump(mode="json"),
        preprocessing={"image": TINY["preprocessing"], "size": TINY["size"]},
        licence="for tests",
        research_only=research_only,
    )
    folder.mkdir(parents=True, exist_ok=True)
    save_model(make_encoder(config).state_dict(), card, folder / f"{name}.safetensors")
    return folder / f"{name}.safetensors"


class FinetuneTab:
    """The tab, chosen, in the open module."""

    def __init__(self, host: Any, widget: Any) -> None:
        self.host, self.widget, self.panel, self.ui = host, widget, widget.finetune, widget.finetuneUi
        self.panel.estimate.is_eager = False
        widget.ui.tabs.setCurrentIndex(2)
        host.wait_until(lambda: "Ready" in widget.ui.setupLabel.text, 60)

    @property
    def state(self) -> str:
        return self.panel.job.state

    def node(self, name: str) -> Any:
        return self.host.slicer.mrmlScene.GetFirstNodeByName(name)

    def add_nodes(self, seed: int, *names: str) -> tuple[Any, Any]:
        """A made-up scan in the scene, and a segmentation with an atrium and corners of other names."""
        from corn_phantoms import atrium_scan
        from MaskWhatMattersLib.bridge.segmentations import add_segment

        image, label = atrium_scan(seed)
        volume = self.host.add_volume(image.array[0], f"Patient {seed}", image.affine)
        segmentation = self.host.slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", f"Heart {seed}")
        segmentation.SetReferenceImageGeometryParameterFromVolumeNode(volume)
        for number, name in enumerate(names or ("left atrium",)):
            mask = label.array[0] > 0 if number == 0 else np.zeros(label.array.shape[1:], bool)
            if number:
                mask[:6, :6, 6 * number - 6 : 6 * number] = True
            add_segment(segmentation, name, mask, image.affine, (1, 0, 0))
        return volume, segmentation

    def choose_pair(self, volume: Any, segmentation: Any) -> None:
        self.ui.pairVolumeSelector.setCurrentNode(volume)
        self.ui.pairLabelSelector.setCurrentNode(segmentation)

    def add_pair(self, seed: int, *names: str) -> None:
        """A row for a made-up scan."""
        self.choose_pair(*self.add_nodes(seed, *names))
        self.ui.addPairButton.click()

    def table(self) -> list[list[str]]:
        table = self.ui.labelledTable
        return [[table.item(row, column).text() for column in range(4)] for row in range(table.rowCount)]

    def choose(self, combo: Any, data: Any) -> None:
        combo.setCurrentIndex(combo.findData(data))

    def offered(self) -> list[str]:
        """Names of the start models in the list."""
        return [self.ui.startCombo.itemData(index) for index in range(self.ui.startCombo.count)]

    def train(self, **settings: Any) -> None:
        """Press Finetune, with a tiny network."""
        self.panel.config = {**(TINY if self.panel.start.name is None else RECIPE), **settings}
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
