"""Tables of scores: one row per case, and mean and standard deviation over cases and over seeds, as CSV or Markdown."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.evaluation.cases import FINAL, METRICS, CaseScores, Spacing

BEST_ON_TEST = "best on test (as-published protocol)"
"""Heading of the one column that is chosen with the help of the test cases themselves."""

_WHAT = ("label", "label_name", "largest_component", "metric")
_SUMMARY_COLUMNS = (*_WHAT, "mean", "std_over_cases", "std_over_seeds", "cases", "seeds", "nan")


@dataclass(frozen=True)
class Summary:
    """One metric of one label over all cases and seeds, final checkpoints only.

    Attributes:
        label: Value in the label maps.
        label_name: What it means; may be "".
        largest_component: Whether only the largest piece of each prediction was kept.
        metric: As in `METRICS`; the name ends in its unit.
        mean: Mean over seeds of each seed's mean over cases; NaN where no case has a value.
        std_over_cases: Standard deviation (n - 1) over the cases of a seed, averaged over seeds; NaN below two cases.
        std_over_seeds: Standard deviation (n - 1) of the seeds' means; NaN below two seeds.
        cases: Number of different cases.
        seeds: Number of different seeds.
        missing: Scores that are NaN and enter no mean, out of all cases of all seeds.
        best_on_test: The mean once more, each seed at the checkpoint with the best mean Dice on these very cases;
            None where nobody asked for it.
    """

    label: int
    label_name: str
    largest_component: bool
    metric: str
    mean: float
    std_over_cases: float
    std_over_seeds: float
    cases: int
    seeds: int
    missing: int
    best_on_test: float | None = None


def summarise(scores: Sequence[CaseScores], *, best_on_test: bool = False) -> list[Summary]:
    """Summarise scores of one kind of spacing, by label, with and without the largest component, and metric.

    Args:
        scores: Any cases, seeds and checkpoints; checkpoints that are not the final one serve `best_on_test` alone.
        best_on_test: Add what published tables often show: the best checkpoint chosen on the test cases.

    Raises:
        InputError: `best_on_test` without another checkpoint than the final one.
    """
    if best_on_test and all(row.checkpoint == FINAL for row in scores):
        raise InputError(
            "The best checkpoint on the test cases was asked for, but only final checkpoints were scored. "
            "Give predictions of other checkpoints too, or leave it out."
        )
    groups: dict[tuple[int, bool], list[CaseScores]] = {}
    for row in scores:
        groups.setdefault((row.label, row.largest_component), []).append(row)
    summaries = []
    for (label, piece), group in sorted(groups.items()):
        final = [row for row in group if row.checkpoint == FINAL]
        best = _best_checkpoints(group) if best_on_test else None
        for metric in group[0].values:
            by_seed = _values_by_seed(final, metric)
            summaries.append(
                Summary(
                    label=label,
                    label_name=group[0].label_name,
                    largest_component=piece,
                    metric=metric,
                    mean=_mean(_mean(values) for values in by_seed),
                    std_over_cases=_mean(_std(values) for values in by_seed),
                    std_over_seeds=_std([_mean(values) for values in by_seed]),
                    cases=len({row.case for row in final}),
                    seeds=len(by_seed),
                    missing=sum(bool(np.isnan(row.values[metric])) for row in final),
                    best_on_test=None if best is None else _mean(map(_mean, _values_by_seed(best, metric))),
                )
            )
    return summaries


def case_columns(spacing: Spacing) -> tuple[str, ...]:
    """Columns of `cases_csv`."""
    start = ("case", "seed", "checkpoint", "label", "label_name", "largest_component")
    return (*start, *METRICS[spacing], "empty")


def cases_csv(scores: Iterable[CaseScores], spacing: Spacing) -> str:
    """One row per case, label, seed, checkpoint, with and without the largest component; NaN is written "nan"."""
    return _csv(case_columns(spacing), (_case_cells(row, METRICS[spacing]) for row in scores))


def summary_csv(summaries: Sequence[Summary]) -> str:
    """One row per metric, numbers in full."""
    return _csv(_summary_columns(summaries), (_summary_cells(row, "nan", "g") for row in summaries))


def summary_markdown(summaries: Sequence[Summary]) -> str:
    """One row per metric, columns aligned; a standard deviation that is not defined is left blank."""
    rows = [_summary_columns(summaries), *(_summary_cells(row, "", _readable(row.metric)) for row in summaries)]
    cells = [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows]
    widths = [max(3, *map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in cells]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]]) + "\n"


def _case_cells(row: CaseScores, metrics: Sequence[str]) -> tuple[object, ...]:
    name = (row.case, row.seed, row.checkpoint, row.label, row.label_name, _yes(row.largest_component))
    return (*name, *(_number(row.values[metric]) for metric in metrics), row.empty)


def _summary_columns(summaries: Sequence[Summary]) -> tuple[str, ...]:
    return (*_SUMMARY_COLUMNS, *([BEST_ON_TEST] if _has_best(summaries) else []))


def _has_best(summaries: Sequence[Summary]) -> bool:
    return any(row.best_on_test is not None for row in summaries)


def _summary_cells(row: Summary, undefined: str, form: str) -> tuple[str, ...]:
    """Cells as text; `undefined` stands for a standard deviation that is NaN."""
    deviations = (_number(value, form, undefined) for value in (row.std_over_cases, row.std_over_seeds))
    name = (str(row.label), row.label_name, _yes(row.largest_component), row.metric)
    best = () if row.best_on_test is None else (_number(row.best_on_test, form),)
    return (*name, _number(row.mean, form), *deviations, str(row.cases), str(row.seeds), str(row.missing), *best)


def _readable(metric: str) -> str:
    """As many decimals as mean something: 0.0001 of an overlap, 0.001 of a millimetre or voxel, 0.01 mL."""
    return {"ml": ".2f", "mm": ".3f", "voxel": ".3f"}.get(metric.rpartition("_")[2], ".4f")


def _best_checkpoints(group: Sequence[CaseScores]) -> list[CaseScores]:
    """The rows of each seed at its checkpoint with the best mean Dice; the final one where they are equal."""
    best: list[CaseScores] = []
    for seed in dict.fromkeys(row.seed for row in group):
        mine = [row for row in group if row.seed == seed]
        checkpoints = sorted({row.checkpoint for row in mine}, key=lambda name: (name != FINAL, name))
        by_checkpoint = [[row for row in mine if row.checkpoint == checkpoint] for checkpoint in checkpoints]
        best += max(by_checkpoint, key=_mean_dice)
    return best


def _mean_dice(rows: Iterable[CaseScores]) -> float:
    mean = _mean(row.values["dice"] for row in rows)
    return -1.0 if np.isnan(mean) else mean


def _values_by_seed(rows: Sequence[CaseScores], metric: str) -> list[list[float]]:
    by_seed: dict[str, list[float]] = {}
    for row in rows:
        by_seed.setdefault(row.seed, []).append(row.values[metric])
    return list(by_seed.values())


def _known(values: Iterable[float]) -> list[float]:
    return [value for value in values if not np.isnan(value)]


def _mean(values: Iterable[float]) -> float:
    known = _known(values)
    return float(np.mean(known)) if known else float("nan")


def _std(values: Iterable[float]) -> float:
    known = _known(values)
    return float(np.std(known, ddof=1)) if len(known) > 1 else float("nan")


def _number(value: float, form: str = "g", undefined: str = "nan") -> str:
    return undefined if np.isnan(value) else format(value, form)


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _csv(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()
