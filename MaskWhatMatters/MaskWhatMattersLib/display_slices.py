"""Cut a volume into pictures the way a radiologist looks at it, and put pictures back onto its grid."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from MaskWhatMattersLib.volumes import Volume, orient

# Per array axis of an LPS volume [k, j, i]: whether rows must be flipped, and what lies at the left and right edge.
_VIEWS = {0: (False, "R", "L"), 1: (True, "R", "L"), 2: (True, "A", "P")}
_THICK = 1.5


class DisplaySlices:
    """Slices of one volume: the patient's right on the left, anterior or superior on top.

    Cut across thick slices as they were acquired, else axial; a single slice is shown as it is.

    Args:
        volume: Any orientation, [C, D, H, W]; the first channel is cut.
    """

    def __init__(self, volume: Volume) -> None:
        self.source = volume
        self._shown = orient(volume.with_array(volume.array[:1]), "LPS")
        self.axis = _cut_axis(self._shown)
        self._flip, self.left, self.right = _VIEWS[self.axis]

    def __len__(self) -> int:
        return self._shown.spatial_shape[self.axis]

    @property
    def pixel_mm(self) -> tuple[float, float]:
        """Height and width of a pixel, mm."""
        spacing = self._shown.spacing_mm[::-1]  # k, j, i, as the array's axes
        height, width = (spacing[axis] for axis in range(3) if axis != self.axis)
        return height, width

    def picture(self, index: int) -> NDArray[Any]:
        """One slice, [rows, columns]."""
        plane: NDArray[Any] = np.take(self._shown.array[0], index, axis=self.axis)
        return plane[::-1] if self._flip else plane

    def volume_of(self, pictures: NDArray[np.float32]) -> Volume:
        """The pictures of all slices, [slices, rows, columns], as a volume on the source's grid."""
        planes = pictures[:, ::-1] if self._flip else pictures
        shown = self._shown.with_array(np.moveaxis(planes, 0, self.axis)[np.newaxis])
        return self.source.with_array(np.ascontiguousarray(orient(shown, self.source.orientation).array))


def _cut_axis(shown: Volume) -> int:
    flat = [axis for axis in range(3) if shown.spatial_shape[axis] == 1]
    if flat:
        return flat[0]
    spacing = shown.spacing_mm[::-1]
    thickest = int(np.argmax(spacing))
    return thickest if spacing[thickest] > _THICK * float(np.median(spacing)) else 0
