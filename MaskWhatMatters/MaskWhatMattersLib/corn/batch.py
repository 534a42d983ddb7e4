"""One batch of semi-supervised training: labelled patches first, then unlabelled ones."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class CornBatch(NamedTuple):
    """Patches on the device.

    Attributes:
        images: z-scored intensities, float32 [B, 1, D, H, W].
        labels: Classes of the first L patches, long [L, D, H, W].
        scan_ids: Index of the scan that each patch is from, long [B]; labelled scans are counted from 0.
    """

    images: Tensor
    labels: Tensor
    scan_ids: Tensor

    @property
    def labelled(self) -> int:
        """Number of labelled patches, L."""
        return int(self.labels.shape[0])
