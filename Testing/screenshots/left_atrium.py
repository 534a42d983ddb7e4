"""Make the README's picture of the module CornSegmentation: the installed model on a heart that was made up here.

    python Testing/screenshots/left_atrium.py Resources/Screenshots/left-atrium.png

No real scan is shown, since those at hand are research data. What the model finds is shown as it is.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from scipy import ndimage

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from host import start_host

_SPACING_MM = 0.8
_SIZE = 620  # of the axial view, pixels; the other two are half of it
_PANEL = 420


def made_up_heart(
    seed: int = 8, shape: tuple[int, int, int] = (88, 150, 180), spacing_mm: float = _SPACING_MM
) -> np.ndarray:
    """Lungs, spine, aorta, three chambers, and a left atrium with four veins, bent at random; int16 [D, H, W]."""
    random = np.random.default_rng(seed)
    z, y, x = np.meshgrid(*[(np.arange(n) - (n - 1) / 2) * spacing_mm for n in shape], indexing="ij")
    coarse = (6, 8, 9)
    bend = [ndimage.zoom(random.standard_normal(coarse), np.divide(shape, coarse), order=3) for _ in range(3)]
    x, y, z = x + 2.2 * bend[0], y + 2.2 * bend[1], z + 2.2 * bend[2]

    def ball(center: tuple[float, ...], radii: tuple[float, ...]) -> np.ndarray:
        return sum(((a - c) / r) ** 2 for a, c, r in zip((x, y, z), center, radii, strict=True)) < 1

    atrium = ball((0, 12, 2), (27, 17, 20)) | ball((14, 6, 0), (16, 12, 14))
    for side, back, up in ((-1, 9, 16), (-1, -9, 20), (1, 9, 14), (1, -8, 19)):
        along = np.clip(side * x, 0, 48)
        radius = np.hypot(y - back - 0.12 * along, z - up - np.sign(up) * 0.1 * along)
        atrium |= (radius < 6.2 - 0.03 * along) & (along > 8) & (along < 46)
    wall = ndimage.binary_dilation(atrium, iterations=3) & ~atrium
    chambers = ball((-26, -14, -4), (17, 18, 24)) | ball((18, -26, -8), (22, 17, 26))
    chambers |= (np.hypot(x - 2, y + 14) < 11) & (z > -18)
    image = np.full(shape, 90.0) + 300 * ndimage.gaussian_filter(random.standard_normal(shape), 4)
    image[(np.hypot((x + 62) / 30, (y - 5) / 52) < 1) | (np.hypot((x - 64) / 28, (y - 5) / 50) < 1)] = 18  # lungs
    image[ball((0, 62, 0), (22, 16, 80))] = 60  # spine
    image[ball((0, -2, 0), (46, 44, 50))] = 70
    image[wall] = 110
    image[chambers & ~wall] = 205
    image[np.hypot(x - 17, y - 45) < 10] = 200  # aorta
    image[atrium] = 225
    image = ndimage.gaussian_filter(image, 1.1)
    noise = ndimage.gaussian_filter(random.standard_normal(shape), 0.8)
    return np.clip(image + 14 * noise / noise.std(), 0, None).astype(np.int16)


def settle(host: Any) -> None:
    """Let the panel lay itself out."""
    for _ in range(40):
        host.process_events()
        time.sleep(0.02)


def main(output: Path) -> None:
    """Segment the heart by clicking, and put panel and views side by side."""
    from PIL import Image

    host = start_host()
    array = made_up_heart()
    affine = np.diag([-_SPACING_MM, -_SPACING_MM, _SPACING_MM, 1.0])
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(array.shape[::-1]) - 1) / 2)
    host.add_volume(array, "Made-up heart", affine)
    widget = host.open_module("CornSegmentation")
    host.wait_until(lambda: "Ready" in widget.ui.setupLabel.text, 60)
    widget.ui.acknowledgeCheckBox.checked = True
    settle(host)
    widget.ui.applyButton.click()
    host.wait_until(lambda: not widget.segment.job.is_busy, 300)
    widget.ui.bodySurfaceSpinBox.value = 1.85
    widget.ui.show3DCheckBox.checked = True
    widget.parent.resize(_PANEL, _SIZE)
    settle(host)
    half = _SIZE // 2
    picture = Image.new("RGB", (_PANEL + _SIZE + half, _SIZE))
    with TemporaryDirectory() as name:
        panel = host.screenshot(widget, Path(name) / "panel.png")
        picture.paste(Image.open(panel), (0, 0))
    for view, side, place in (
        (host.render_slice(size=(_SIZE, _SIZE)), _SIZE, (_PANEL, 0)),
        (host.render_3d(size=(half, half)), half, (_PANEL + _SIZE, 0)),
        (host.render_slice(view="Green", size=(half, half)), half, (_PANEL + _SIZE, half)),
    ):
        picture.paste(Image.fromarray(view[:side, :side]), place)
    picture.save(output, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
