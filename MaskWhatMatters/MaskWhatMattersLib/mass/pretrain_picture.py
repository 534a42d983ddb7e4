"""An episode for the eye: reference, query with the truth and query with the prediction, side by side, as a PNG."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from MaskWhatMattersLib.masking.preview import masked_picture, png_of, side_by_side
from MaskWhatMattersLib.mass.episodes import Episodes

_WANTED = 192
"""Pixels of a side; a picture travels with the log."""


def episode_png(episodes: Episodes, logits: Tensor) -> bytes:
    """The first episode: each picture the axial slice with most of the mask, patient's right at the left.

    The mask is the one that fills most of the query without filling all of it.

    Args:
        episodes: B episodes.
        logits: Prediction for them, [B, K, S, S, S].
    """
    truth, shown = _array(episodes.query_masks), _array(episodes.reference_masks)
    share = truth.mean(axis=(1, 2, 3))
    label = int(np.argmax(np.where(share < 1, share, 0)))
    found = _array(logits > 0)[label]
    query, reference = _array(episodes.query[:, 0]), _array(episodes.reference[:, 0])
    at, there = _fullest(truth[label]), _fullest(shown[label])
    panels = [
        _panel(reference[there], shown[label][there]),
        _panel(query[at], truth[label][at]),
        _panel(query[at], found[at]),
    ]
    return png_of(side_by_side(side_by_side(panels[0], panels[1]), panels[2]))


def _array(values: Tensor) -> NDArray[np.float32]:
    """The first of a batch."""
    array: NDArray[np.float32] = values[0].float().cpu().numpy()
    return array


def _fullest(mask: NDArray[np.float32]) -> int:
    """The slice with most of the mask."""
    return int(np.argmax(mask.sum(axis=(1, 2))))


def _panel(plane: NDArray[np.float32], mask: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Rows run to the front and columns to the patient's right in a prepared scan; a picture shows the front on top."""
    low, high = float(plane.min()), float(np.percentile(plane, 99.5))
    grey = np.clip((plane - low) / max(high - low, 1e-6) * 255, 0, 255).astype(np.uint8)
    return masked_picture(grey[::-1, ::-1], region=mask[::-1, ::-1] > 0, wanted=_WANTED)
