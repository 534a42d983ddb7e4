"""Make the README's picture of the tab Finetune: a network learns two structures from hearts that were made up here.

    python Testing/screenshots/finetune.py Resources/Screenshots/finetune.png

No real scan is shown, since those at hand are research data. The network is small, so that it takes minutes.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from left_atrium import made_up_heart
from pretrain import settle, shot

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from host import start_host

_SPACING_MM = 2.4
_SMALL = {
    "encoder": {"kind": "residual", "spatial_dims": 3, "widths": [8, 16, 32], "blocks": [1, 1, 1]},
    "preprocessing": {"spatial_dims": 3, "spacing_mm": [_SPACING_MM] * 3},
    "size": [32, 48, 48],
    "batch_size": 2,
    "steps": 60,
    "validate_every": 20,
}


def add_pairs(host: Any, widget: Any, count: int) -> None:
    """Made-up hearts with a segmentation each, as rows of the tab."""
    from MaskWhatMattersLib.bridge.segmentations import add_segment

    ui, scene = widget.finetuneUi, host.slicer.mrmlScene
    for number in range(1, count + 1):
        array = made_up_heart(7 + number, (40, 64, 76), _SPACING_MM)
        affine = np.diag([-_SPACING_MM, -_SPACING_MM, _SPACING_MM, 1.0])
        affine[:3, 3] = -affine[:3, :3] @ ((np.array(array.shape[::-1]) - 1) / 2)
        volume = host.add_volume(array, f"Made-up heart {number}", affine)
        segmentation = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", f"Segmentation {number}")
        segmentation.SetReferenceImageGeometryParameterFromVolumeNode(volume)
        add_segment(segmentation, "chambers", array > 160, affine, (0.9, 0.3, 0.3))
        add_segment(segmentation, "lungs", array < 45, affine, (0.4, 0.7, 0.9))
        ui.pairVolumeSelector.setCurrentNode(volume)
        ui.pairLabelSelector.setCurrentNode(segmentation)
        ui.addPairButton.click()


def main(output: Path) -> None:
    """Finetune by clicking, and put the panel before and after side by side."""
    from PIL import Image

    with TemporaryDirectory() as name:
        os.environ["XDG_DATA_HOME"] = name
        host = start_host()
        widget = host.open_module("MaskWhatMatters")
        widget.ui.tabs.setCurrentIndex(2)
        host.wait_until(lambda: "Ready" in widget.ui.setupLabel.text, 60)
        panel, ui = widget.finetune, widget.finetuneUi
        panel.config = _SMALL
        ui.startCombo.setCurrentIndex(ui.startCombo.findData(""))
        add_pairs(host, widget, 4)
        host.wait_until(lambda: "GB" in ui.estimateLabel.text, 120)
        before = Image.open(shot(host, widget, Path(name) / "before.png"))
        ui.applyButton.click()
        host.wait_until(lambda: not panel.job.is_busy, 1200)
        settle(host)
        ui.labelledButton.collapsed = True
        after = Image.open(shot(host, widget, Path(name) / "after.png"))
        picture = Image.new("RGB", (before.width + after.width, max(before.height, after.height)), "white")
        picture.paste(before, (0, 0))
        picture.paste(after, (before.width, 0))
        picture.save(output, optimize=True)
        print(ui.summaryLabel.text, ui.resultLabel.text, ui.failureLabel.text)
        host.close_module("MaskWhatMatters")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
