"""What a clinician reads beside the label map: volume, agreement, doubt at the border, and when to look again."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from scipy import ndimage, special


class ReviewLimits(BaseModel):
    """Beyond these a result asks to be reviewed; a model card may carry its own."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    min_agreement: float = Field(0.85, ge=0, le=1, description="Dice of the two branches.")
    max_boundary_entropy: float = Field(0.8, ge=0, le=1, description="Mean binary entropy on the border, of ln 2.")
    # The 100 scans of the 2018 challenge hold 18.6 to 132.1 mL; very large atria are larger still.
    min_volume_ml: float = Field(15.0, ge=0, description="A smaller atrium is doubted.")
    max_volume_ml: float = Field(250.0, gt=0, description="A larger atrium is doubted.")


def dice(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """Overlap of two masks, 0 to 1; not a number where both are empty."""
    total = np.count_nonzero(first) + np.count_nonzero(second)
    return 2.0 * np.count_nonzero(first & second) / total if total else math.nan


def boundary_entropy(probability: NDArray[np.float32], mask: NDArray[np.bool_]) -> float:
    """Mean binary entropy of the probability on the outermost voxels of a mask, as a share of its maximum, ln 2.

    -p ln p - (1 - p) ln(1 - p) over ln 2: 0 where the network is sure, 1 where it does not know. The outermost voxels
    are those with a face towards the outside; the border of the scan is no outside.

    Args:
        probability: 0 to 1, [D, H, W].
        mask: The result, [D, H, W].

    Returns:
        0 to 1; not a number for an empty mask, or one without a border.
    """
    shell = mask & ~ndimage.binary_erosion(mask, border_value=1)
    inside = probability[shell].astype(np.float64)
    if not inside.size:
        return math.nan
    return float(np.mean(special.entr(inside) + special.entr(1.0 - inside)) / math.log(2.0))


def review_reasons(
    volume_ml: float, agreement: float, entropy: float, limits: ReviewLimits, *, is_ct: bool = False
) -> tuple[str, ...]:
    """Why a person should look at this result again, in words; empty when there is no reason.

    Args:
        volume_ml: Of the label map.
        agreement: Dice of the two branches, 0 to 1.
        entropy: See `boundary_entropy`.
        limits: What is usual.
        is_ct: Whether the scan is a CT or looks like one; the models are made for MR.
    """
    reasons = ["made for MR, and this scan is a CT or looks like one"] if is_ct else []
    if volume_ml == 0:
        return (*reasons, "no left atrium found")
    if volume_ml < limits.min_volume_ml:
        reasons.append(f"unusually small: {volume_ml:.1f} mL, below {limits.min_volume_ml:g} mL")
    if volume_ml > limits.max_volume_ml:
        reasons.append(f"unusually large: {volume_ml:.1f} mL, above {limits.max_volume_ml:g} mL")
    if not agreement >= limits.min_agreement:
        reasons.append(
            f"the two branches of the network disagree: agreement {100 * agreement:.1f} %, "
            f"below {100 * limits.min_agreement:g} %"
        )
    if entropy > limits.max_boundary_entropy:
        reasons.append(f"the border is uncertain: entropy {entropy:.2f}, above {limits.max_boundary_entropy:g}")
    return tuple(reasons)
