"""A reconstruction for the eye: original, masked and reconstructed side by side, as a PNG."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray

from MaskWhatMattersLib.pretraining.batch import Reconstruction

_GAP = 4
_WANTED = 192
"""Small images are shown with whole pixels repeated until their sides are about this long."""


def triplet_png(reconstruction: Reconstruction) -> bytes:
    """The first image of a batch; of a volume the central axial slice, patient's right at the left, front at the top.

    Grey goes from the lowest to the 99.5th percentile of the original.
    """
    from PIL import Image

    panels = [_panel(images) for images in reconstruction]
    low, high = float(panels[0].min()), float(np.percentile(panels[0], 99.5))
    grey = [np.clip((panel - low) / max(high - low, 1e-6) * 255, 0, 255).astype(np.uint8) for panel in panels]
    factor = max(1, round(_WANTED / max(grey[0].shape)))
    grey = [panel.repeat(factor, axis=0).repeat(factor, axis=1) for panel in grey]
    gap = np.full((grey[0].shape[0], _GAP), 255, np.uint8)
    picture = np.concatenate([grey[0], gap, grey[1], gap, grey[2]], axis=1)
    lines = io.BytesIO()
    Image.fromarray(picture).save(lines, format="PNG")
    return lines.getvalue()


def _panel(images: object) -> NDArray[np.float32]:
    array: NDArray[np.float32] = images[0, 0].detach().float().cpu().numpy()  # type: ignore[index]
    if array.ndim == 2:
        return array
    # Prepared volumes run to the head, the front and the patient's right; pictures run down and to the viewer's right.
    return array[array.shape[0] // 2, ::-1, ::-1]
