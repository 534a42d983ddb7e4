"""The answer to a prompt: how relevant each voxel is, and whether the thing is there at all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.volumes import Volume

Verdict = Literal["found", "absent", "unknown", "untrained"]


@dataclass(frozen=True, eq=False)
class RelevanceMap:
    """Relevance of every voxel for one prompt, with its provenance.

    Attributes:
        volume: Relevance in 0..1 as float32, [1, D, H, W], on the grid of the volume that was asked about; all zero
            unless the verdict is "found".
        prompt: What the user typed.
        verdict: "found"; "absent" (known, but not in this image); "unknown" (the prompt names nothing the localizer
            knows); "untrained" (known, but not for this modality).
        score: Evidence in 0..1 that the thing is in the image.
        message: One sentence for the user.
        localizer: Registry name of the localizer.
        model_version: Name and version of the model that answered.
        concept: Canonical name of what the prompt was understood as; None when unknown.
        threshold: Suggested threshold for `mask`.
        seconds: Time this prompt took, s.
    """

    volume: Volume
    prompt: str
    verdict: Verdict
    score: float
    message: str
    localizer: str
    model_version: str
    concept: str | None = None
    threshold: float = 0.5
    seconds: float = 0.0

    def mask(self, threshold: float | None = None) -> Volume:
        """Voxels at or above the threshold, as uint8 0/1, [1, D, H, W]; all zero unless found.

        Raises:
            InputError: The threshold is outside 0..1.
        """
        level = self.threshold if threshold is None else threshold
        if not 0.0 < level <= 1.0:
            raise InputError(f"The threshold must lie above 0 and at most at 1; found {level}. Use 0.5 when in doubt.")
        return self.volume.with_array((self.volume.array >= level).astype(np.uint8))

    def volume_ml(self, threshold: float | None = None) -> float | None:
        """Size of the mask in mL; None when the image has no physical scale."""
        if not self.volume.has_physical_scale:
            return None
        return float(self.mask(threshold).array.sum()) * self.volume.voxel_volume_ml
