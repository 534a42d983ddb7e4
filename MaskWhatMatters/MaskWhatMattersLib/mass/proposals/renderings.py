"""Grey values as channels from 0 to 1, in which regions are looked for."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from MaskWhatMattersLib.volumes import window

_CT_WINDOWS = ((-125.0, 225.0), (-1350.0, 150.0), (-50.0, 850.0))
"""Soft tissue, lung and bone, HU: apart, since no single window shows all three."""

_PERCENTILES = (1.0, 99.0)


def render(values: NDArray[np.floating], body: NDArray[np.bool_], is_ct: bool) -> NDArray[np.float32]:
    """Three windows of CT, one of anything else: the other pairs of percentiles that MASS uses show the same edges.

    Args:
        values: Grey values, [D, H, W].
        body: Where percentiles are taken, [D, H, W].
        is_ct: Whether values are HU.

    Returns:
        [C, D, H, W], 0 to 1.
    """
    if is_ct:
        return np.stack([window(values, *limits) for limits in _CT_WINDOWS])
    inside = values[body]
    low, high = np.percentile(inside[:: max(1, inside.size // 1_000_000)], _PERCENTILES)
    return window(values, low, high if high > low else low + 1.0)[None]
