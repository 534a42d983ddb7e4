"""What `whatmatters evaluate` says at the end, beside its tables: agreement of volumes, notes, and the JSON report."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from MaskWhatMattersLib.evaluation.agreement import VolumeAgreement, volume_agreement
from MaskWhatMattersLib.evaluation.cases import FINAL, CaseScores
from MaskWhatMattersLib.evaluation.tables import Summary


@dataclass(frozen=True)
class LabelAgreement:
    """How volumes of one label from one seed agree with the truth; fields as in `CaseScores`."""

    seed: str
    label: int
    label_name: str
    largest_component: bool
    found: VolumeAgreement

    def sentence(self) -> str:
        """For the terminal."""
        what = self.label_name or f"label {self.label}"
        kind = " (largest component)" if self.largest_component else ""
        seed = f"{self.seed}, " if self.seed else ""
        text = f"Volume of {seed}{what}{kind}: {self.found.bias_ml:+.2f} mL against the truth"
        limits = f"95 % limits of agreement {self.found.lower_ml:+.2f} to {self.found.upper_ml:+.2f} mL"
        return f"{text} (mean of {self.found.cases}){f', {limits}' if self.found.cases > 1 else ''}."


def agreements_of(scores: Iterable[CaseScores]) -> list[LabelAgreement]:
    """Agreement of volumes for final checkpoints, by seed, label, with and without the largest component.

    Args:
        scores: With the values prediction_ml and truth_ml.
    """
    groups: dict[tuple[str, int, str, bool], list[CaseScores]] = {}
    for row in scores:
        if row.checkpoint == FINAL:
            groups.setdefault((row.seed, row.label, row.label_name, row.largest_component), []).append(row)
    return [
        LabelAgreement(
            *group,
            volume_agreement([row.values["prediction_ml"] for row in rows], [row.values["truth_ml"] for row in rows]),
        )
        for group, rows in sorted(groups.items())
    ]


def notes_on_labels(scores: Sequence[CaseScores]) -> list[str]:
    """Labels that occur in no truth: a wrong --label, most likely."""
    true = {row.label for row in scores if row.empty in ("", "prediction")}
    missing = sorted({row.label for row in scores} - true)
    return [f"No truth holds the label {', '.join(map(str, missing))}: check --label."] if missing else []


def as_report(
    scores: Iterable[CaseScores],
    summaries: Iterable[Summary],
    agreements: Iterable[LabelAgreement],
    failures: Sequence[dict[str, str]],
) -> dict[str, Any]:
    """Everything, for --json; what is not a number is null."""
    rows = [asdict(row) for row in scores]
    return {
        "cases": [_plain({**row, **row.pop("values")}) for row in rows],
        "summary": [_plain(asdict(row)) for row in summaries],
        "agreement": [_plain({**(row := asdict(agreement)), **row.pop("found")}) for agreement in agreements],
        "failed": list(failures),
    }


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """Without the inner table that was spread out, and with null for NaN."""
    return {
        key: None if isinstance(value, float) and math.isnan(value) else value
        for key, value in values.items()
        if not isinstance(value, dict)
    }
