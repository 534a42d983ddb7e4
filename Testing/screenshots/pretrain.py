"""Make the README's picture of the tab Pretrain: an encoder that learns from chests that were made up here.

    python Testing/screenshots/pretrain.py Resources/Screenshots/pretrain.png

No real scan is shown, since those at hand are research data. The network is small, so that it takes minutes.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from left_atrium import made_up_heart

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from host import start_host

_SPACING_MM = 1.6
_PANEL = 420
_SMALL = {
    "encoder": {"width": 96, "depth": 3, "heads": 3},
    "decoder": {"depth": 1, "width": 48, "heads": 3},
    "batch_size": 4,
    "steps": 400,
    "picture_every": 25,
}


def settle(host: Any, seconds: float = 1.0) -> None:
    """Let the panel lay itself out."""
    end = time.monotonic() + seconds
    host.wait_until(lambda: time.monotonic() > end, seconds + 10)


def add_chests(host: Any, count: int) -> None:
    """Made-up chests with the greys of CT, in the scene."""
    for seed in range(8, 8 + count):
        array = made_up_heart(seed, (72, 112, 132), _SPACING_MM)
        grey = np.interp(array, (0, 40, 90, 260), (-900, -120, 20, 260)).astype(np.int16)
        affine = np.diag([-_SPACING_MM, -_SPACING_MM, _SPACING_MM, 1.0])
        affine[:3, 3] = -affine[:3, :3] @ ((np.array(array.shape[::-1]) - 1) / 2)
        host.add_volume(grey, f"Made-up chest {seed - 7}", affine)


def main(output: Path, prompt: str) -> None:
    """Pretrain by clicking, and put the panel before and after side by side."""
    from PIL import Image

    with TemporaryDirectory() as name:
        os.environ["XDG_DATA_HOME"] = name
        host = start_host()
        add_chests(host, 3)
        widget = host.open_module("MaskWhatMatters")
        widget.ui.tabs.setCurrentIndex(1)
        host.wait_until(lambda: "Ready" in widget.ui.setupLabel.text, 60)
        panel, ui = widget.pretrain, widget.pretrainUi
        panel.config = _SMALL
        ui.tickAllButton.click()
        ui.promptEdit.setPlainText(prompt)
        host.wait_until(lambda: panel.masking.preview.last is not None and not panel.masking.preview.is_busy, 120)
        host.wait_until(lambda: "GB" in ui.estimateLabel.text, 120)
        before = Image.open(shot(host, widget, Path(name) / "before.png"))
        ui.applyButton.click()
        host.wait_until(lambda: not panel.job.is_busy, 1200)
        settle(host)
        ui.imagesButton.collapsed = ui.maskingButton.collapsed = True
        after = Image.open(shot(host, widget, Path(name) / "after.png"))
        picture = Image.new("RGB", (before.width + after.width, max(before.height, after.height)), "white")
        picture.paste(before, (0, 0))
        picture.paste(after, (before.width, 0))
        picture.save(output, optimize=True)
        print(ui.overallLabel.text, ui.resultLabel.text)
        host.close_module("MaskWhatMatters")


def shot(host: Any, widget: Any, file: Path) -> Path:
    """A picture of the panel at its own height."""
    settle(host)
    widget.parent.resize(_PANEL, 300)  # grows to what the panel needs
    settle(host)
    return host.screenshot(widget, file)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "left lung")
