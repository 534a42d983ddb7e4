"""The user's own region as relevance: a segment, label map, box or sphere; also the upper bound of experiments."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.progress import Progress, SilentProgress
from MaskWhatMattersLib.relevance.concepts import checked_prompt
from MaskWhatMattersLib.relevance.relevance_map import RelevanceMap
from MaskWhatMattersLib.volumes import Volume, require_scalar, resample_like


@dataclass(frozen=True)
class RoiBox:
    """A box, in any direction.

    Attributes:
        centre_ras: Its centre, RAS mm.
        size_mm: Full lengths along its own three axes, mm.
        axes: Unit vectors of its axes as columns, RAS; None: along R, A and S.
    """

    centre_ras: tuple[float, float, float]
    size_mm: tuple[float, float, float]
    axes: tuple[tuple[float, float, float], ...] | None = None

    def contains(self, points_ras: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which points, [..., 3] in RAS mm, lie inside or on the border."""
        axes = np.eye(3) if self.axes is None else np.asarray(self.axes, float)
        along = (points_ras - np.asarray(self.centre_ras)) @ axes
        inside: NDArray[np.bool_] = (np.abs(along) <= np.asarray(self.size_mm) / 2 + 1e-6).all(axis=-1)
        return inside


@dataclass(frozen=True)
class RoiSphere:
    """A ball.

    Attributes:
        centre_ras: Its centre, RAS mm.
        radius_mm: Its radius, mm.
    """

    centre_ras: tuple[float, float, float]
    radius_mm: float

    def contains(self, points_ras: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which points, [..., 3] in RAS mm, lie inside or on the surface."""
        inside: NDArray[np.bool_] = (
            np.linalg.norm(points_ras - np.asarray(self.centre_ras), axis=-1) <= self.radius_mm + 1e-6
        )
        return inside


Roi = Volume | RoiBox | RoiSphere


class RoiLocalizer:
    """Shows a region that the user has drawn; the prompt is only its name.

    Args:
        roi: A label map (every value but 0 counts) on any grid, a box or a sphere.
        device: Taken for the sake of a common signature; nothing is computed on it.
    """

    name = "roi"

    def __init__(self, roi: Roi | None = None, device: str = "auto") -> None:
        if roi is None:
            raise InputError(
                'The localizer "roi" needs a region and got none. Choose a segment, a label map or a box, or give '
                "roi=a label map, RoiBox or RoiSphere."
            )
        self.roi = roi

    def localize(
        self,
        volume: Volume,
        prompts: Sequence[str],
        *,
        context: Progress | None = None,
        modality: str | None = None,
    ) -> list[RelevanceMap]:
        """The region on the volume's grid, once per prompt.

        Raises:
            InputError: An empty prompt, or a volume with several channels.
        """
        require_scalar(volume)
        names = [checked_prompt(prompt) for prompt in prompts]
        progress = context or SilentProgress()
        progress.stage("Placing your region", total=1)
        started = time.perf_counter()
        inside = _rasterize(self.roi, volume)
        progress.step()
        found = bool(inside.any())
        message = "Your region." if found else "Your region does not touch this volume."
        return [
            RelevanceMap(
                volume=volume.with_array(inside.astype(np.float32)[None]),
                prompt=name,
                verdict="found" if found else "absent",
                score=float(found),
                message=message,
                localizer=self.name,
                model_version="your own region",
                concept=name,
                seconds=time.perf_counter() - started,
            )
            for name in names
        ]


def _rasterize(roi: Roi, volume: Volume) -> NDArray[np.bool_]:
    """Voxels of the volume whose centre lies in the region, [D, H, W]."""
    if isinstance(roi, Volume):
        label_map = require_scalar(roi).with_array((roi.array != 0).astype(np.uint8))
        inside: NDArray[np.bool_] = resample_like(label_map, volume, "nearest").array[0] > 0
        return inside
    depth, height, width = volume.spatial_shape
    result = np.zeros((depth, height, width), bool)
    j, i = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    for k in range(depth):  # one slice at a time: the coordinates of a whole volume would take 24 bytes a voxel
        ijk = np.stack([i, j, np.full_like(i, k)], axis=-1)
        result[k] = roi.contains(ijk @ volume.affine[:3, :3].T + volume.affine[:3, 3])
    return result
