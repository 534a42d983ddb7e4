"""Agreement of two ways to measure a volume: bias and limits of agreement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class VolumeAgreement:
    """Bland and Altman 1986, doi:10.1016/S0140-6736(86)90837-8.

    Attributes:
        bias_ml: Mean of prediction minus truth, mL; NaN without cases.
        lower_ml: Bias minus 1.96 standard deviations of the differences, mL; NaN with fewer than two cases.
        upper_ml: Bias plus as much, mL.
        cases: Pairs that count.
        missing: Pairs left out because a volume is NaN.
    """

    bias_ml: float
    lower_ml: float
    upper_ml: float
    cases: int
    missing: int


def volume_agreement(prediction_ml: Sequence[float], truth_ml: Sequence[float]) -> VolumeAgreement:
    """Bias and 95 % limits of agreement of volumes in mL; the standard deviation is that of a sample (n - 1).

    Raises:
        ValueError: Not one prediction per truth.
    """
    if len(prediction_ml) != len(truth_ml):
        raise ValueError(
            f"Each volume needs its truth; found {len(prediction_ml)} and {len(truth_ml)}. Give pairs in one order."
        )
    differences = np.subtract(prediction_ml, truth_ml, dtype=np.float64)
    known = differences[np.isfinite(differences)]
    bias = float(known.mean()) if known.size else float("nan")
    reach = 1.96 * float(known.std(ddof=1)) if known.size > 1 else float("nan")
    return VolumeAgreement(bias, bias - reach, bias + reach, int(known.size), int(differences.size - known.size))
