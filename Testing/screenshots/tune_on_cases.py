"""Make the README's picture of the tab "Tune on my cases": the installed model on bodies that were made up here.

    python Testing/screenshots/tune_on_cases.py Resources/Screenshots/tune-on-cases.png [MODEL] [MINUTES]

MODEL is the file of another model. No real scan is shown. What is measured is shown as it is.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from host import start_host
from mass_phantoms import NAMES, organ_subject

_PANEL = 420
_HEIGHT = 1120
_SHAPE = (48, 52, 56)
_SPACING_MM = (6.0, 6.0, 6.0)
_MARKED = {"liver": (0.87, 0.51, 0.31), "spleen": (0.62, 0.42, 0.84), "kidney": (0.25, 0.70, 0.56)}
_CASES = 5


def add_case(host: Any, seed: int) -> tuple[Any, Any]:
    """A volume node and the segmentation that a person would have drawn on it."""
    from MaskWhatMattersLib.bridge.segmentations import add_segment

    image, labels = organ_subject(seed, _SHAPE, _SPACING_MM)
    volume = host.add_volume(image.array[0], f"Case {seed}", image.affine)
    node = host.slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", f"Organs {seed}")
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    for value, name in NAMES.items():
        if name in _MARKED:
            add_segment(node, name.capitalize(), labels.array[0] == value, image.affine, _MARKED[name])
    return volume, node


def settle(host: Any) -> None:
    """Let the panel lay itself out."""
    for _ in range(40):
        host.process_events()
        time.sleep(0.02)


def main(output: Path, model: str, minutes: int) -> None:
    """Tune by clicking, with tasks and models in a folder of their own."""
    host = start_host()
    with TemporaryDirectory() as data:
        os.environ["XDG_DATA_HOME"] = data
        if model:
            from MaskWhatMattersLib.models import default_user_folder

            default_user_folder().mkdir(parents=True)
            for suffix in (".json", ".safetensors"):
                shutil.copy(Path(model).with_suffix(suffix), default_user_folder() / f"mass-tiny{suffix}")
        cases = [add_case(host, seed) for seed in range(1, _CASES + 1)]
        widget = host.open_module("MassInContext")
        host.wait_until(lambda: "Ready" in widget.ui.setupLabel.text, 60)
        widget.ui.tabs.setCurrentIndex(1)
        ui = widget.tuneUi
        for volume, node in cases:
            ui.pairVolumeSelector.setCurrentNode(volume)
            ui.pairLabelSelector.setCurrentNode(node)
            ui.addPairButton.click()
        ui.minutesSpinBox.value = minutes
        settle(host)
        if not ui.applyButton.enabled:
            raise SystemExit(ui.applyButton.toolTip)
        ui.applyButton.click()
        host.wait_until(lambda: not widget.tune.job.is_busy, 60 * minutes + 400)
        if widget.tune.job.state != "done":
            raise SystemExit(f"{ui.failureLabel.text} {ui.adviceLabel.text}")
        widget.parent.resize(_PANEL, _HEIGHT)
        settle(host)
        host.screenshot(widget, output)
        host.close_module("MassInContext")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "", int(sys.argv[3]) if len(sys.argv) > 3 else 2)
