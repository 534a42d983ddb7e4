"""Settings for what is not the published protocol: adapting a model to a site, and computers without a GPU."""

from __future__ import annotations

from typing import Any

PATCH_MM = (50.0, 70.0, 70.0)
"""The patch of the published protocol, 80 x 112 x 112 voxels of 0.625 mm."""

OTHER_SCANNERS = {
    "quarter_turns": False,
    "flips": False,
    "rotation_deg": 20.0,
    "zoom": 1.15,
    "gamma": 0.3,
    "contrast": 0.2,
    "brightness": 0.2,
    "bias_field": 0.2,
    "noise": 0.15,
    "blur": 0.2,
}
"""Fields of `PatchAugmentConfig` that prepare for other scanners; no patient is mirrored or lies across."""

SMALL: dict[str, Any] = {
    "patch_size": (40, 64, 64),
    "steps": 3000,
    "validate_every": 100,
    "save_every": 50,
    "network": {"width": 8, "depth": 4},
    "preprocessing": {"spacing_mm": 1.25},
    "losses": {"unlabelled_rows": 3200, "minimum_voxels": 256},
}
"""Fields of `CornTrainingConfig` for a computer without a GPU: half the resolution and width, one level less."""


def adaptation(spacing_mm: float, divisor: int) -> dict[str, Any]:
    """Fields of `CornTrainingConfig` for going on from a trained model.

    Args:
        spacing_mm: Of the model.
        divisor: Of its network; patch sides are multiples of it.
    """
    sides = (max(1, round(side / spacing_mm / divisor)) * divisor for side in PATCH_MM)
    return {"patch_size": tuple(sides), "augment": OTHER_SCANNERS, "average": 0.99, "schedule": "poly"}
