"""Values of large label maps, in slabs and without sorting: a scan of 100 million voxels takes well under a second."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

_SLAB = 1 << 21  # voxels that are looked at together: what is made of them stays small
_WIDEST = 1 << 16


def whole_values(labels: NDArray[Any], most: int) -> list[int] | None:
    """Every value once, from the lowest to the highest.

    Args:
        labels: Label map of any shape and number type.
        most: As many values as a label map has at most.

    Returns:
        The values; None where there are more, or where one is not a whole number.
    """
    flat = labels.reshape(-1)
    if flat.size == 0:
        return []
    low, high = flat.min(), flat.max()
    if not (np.isfinite(low) and np.isfinite(high)):
        return None
    is_narrow = float(high) - float(low) < _WIDEST
    counts = np.zeros(int(high) - int(low) + 1 if is_narrow else 0, np.int64)
    found: set[int] = set()
    for whole_slab in _slabs(flat):
        is_end = whole_slab[1:] != whole_slab[:-1]  # labels come in runs; of each run one voxel is looked at
        slab = np.concatenate([whole_slab[:-1][is_end], whole_slab[-1:]])
        if slab.dtype.kind == "f" and not np.array_equal(slab, np.rint(slab)):
            return None
        if is_narrow:
            counts += np.bincount(slab.astype(np.int64) - int(low), minlength=counts.size)
        else:
            found.update(int(value) for value in np.unique(slab))
            if len(found) > most:
                return None
    values = (np.flatnonzero(counts) + int(low)).tolist() if is_narrow else sorted(found)
    return values if len(values) <= most else None


def with_values(labels: NDArray[Any], value_of: Mapping[int, int]) -> NDArray[np.uint8]:
    """A label map with other values; what is not named becomes 0.

    Args:
        labels: Label map of any shape and number type.
        value_of: New value 0..255 of each old one.

    Returns:
        uint8 of the same shape.
    """
    result = np.zeros(labels.shape, np.uint8)
    if not value_of:
        return result
    low, high = min(value_of) - 1, max(value_of) + 1  # values beyond, which become 0
    if high - low >= _WIDEST:
        for old, new in value_of.items():
            result[labels == old] = new
        return result
    table = np.zeros(high - low + 1, np.uint8)
    for old, new in value_of.items():
        table[old - low] = new
    for all_of_it, target in zip(_slabs(labels.reshape(-1)), _slabs(result.reshape(-1)), strict=True):
        where = np.ones(all_of_it.shape, bool) if 0 in value_of else all_of_it != 0  # mostly background
        slab = all_of_it[where]
        whole = np.where(slab == np.rint(slab), slab, low) if slab.dtype.kind == "f" else slab
        target[where] = table[np.clip(whole, low, high).astype(np.int64) - low]
    return result


def _slabs(flat: NDArray[Any]) -> Iterator[NDArray[Any]]:
    return (flat[start : start + _SLAB] for start in range(0, flat.size, _SLAB))
