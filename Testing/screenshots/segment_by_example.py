"""Make the README's picture of the module MassInContext: the installed model on bodies that were made up here.

    python Testing/screenshots/segment_by_example.py Resources/Screenshots/segment-by-example.png [MODEL]

MODEL is the file of another model. No real scan is shown. What the model finds is shown as it is.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from host import start_host
from mass_phantoms import NAMES, organ_subject

_SIZE = 780  # of the picture's height and of the large view, pixels; two small ones are half of it
_PANEL = 420
_SHAPE = (64, 72, 80)
_SPACING_MM = (4.0, 4.0, 4.0)
_MARKED = {"liver": (0.87, 0.51, 0.31), "spleen": (0.62, 0.42, 0.84), "kidney": (0.25, 0.70, 0.56)}
_SUBJECTS = {"Example": 3, "March": 4, "June": 5}


def add_subject(host: Any, name: str, seed: int) -> tuple[Any, np.ndarray]:
    """A volume node and its label map, [D, H, W]."""
    image, labels = organ_subject(seed, _SHAPE, _SPACING_MM)
    return host.add_volume(image.array[0], name, image.affine), labels.array[0]


def mark(host: Any, volume: Any, labels: np.ndarray) -> Any:
    """The segmentation that a person would have drawn on the example."""
    from MaskWhatMattersLib.bridge.nodes import local_affine
    from MaskWhatMattersLib.bridge.segmentations import add_segment

    node = host.slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Organs by hand")
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    for value, name in NAMES.items():
        if name in _MARKED:
            add_segment(node, name.capitalize(), labels == value, local_affine(volume), _MARKED[name])
    return node


def settle(host: Any) -> None:
    """Let the panel lay itself out."""
    for _ in range(40):
        host.process_events()
        time.sleep(0.02)


def main(output: Path, model: str) -> None:
    """Apply the example by clicking, and put panel and views side by side."""
    from PIL import Image

    host = start_host()
    volume, labels = add_subject(host, "Example", _SUBJECTS["Example"])
    marks = mark(host, volume, labels)
    for name in ("March", "June"):
        add_subject(host, name, _SUBJECTS[name])
    widget = host.open_module("MassInContext")
    host.wait_until(lambda: "Ready" in widget.ui.setupLabel.text, 60)
    widget.ui.modelEdit.text = model
    widget.ui.tickAllButton.click()
    settle(host)
    widget.ui.applyButton.click()
    host.wait_until(lambda: not widget.apply.job.is_busy, 500)
    if widget.apply.job.state != "done":
        raise SystemExit(f"{widget.ui.failureLabel.text} {widget.ui.adviceLabel.text}")
    widget.ui.resultTable.setCurrentCell(widget.ui.resultTable.rowCount - 1, 0)
    widget.parent.resize(_PANEL, _SIZE)
    settle(host)
    half = _SIZE // 2
    picture = Image.new("RGB", (_PANEL + _SIZE + half, _SIZE))
    with TemporaryDirectory() as name:
        picture.paste(Image.open(host.screenshot(widget, Path(name) / "panel.png")), (0, 0))
    picture.paste(Image.fromarray(host.render_slice(size=(_SIZE, _SIZE))), (_PANEL, 0))
    picture.paste(
        Image.fromarray(host.render_slice(view="Green", size=(half, half))[:half, :half]), (_PANEL + _SIZE, half)
    )
    for node in host.slicer.util.getNodesByClass("vtkMRMLSegmentationNode"):
        node.GetDisplayNode().SetVisibility(node is marks)
    example = host.render_slice(volume, size=(half, half))[:half, :half]
    picture.paste(Image.fromarray(example), (_PANEL + _SIZE, 0))
    picture.save(output, optimize=True)
    host.close_module("MassInContext")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "")
