"""Means and deviations over cases and seeds, and the tables that show them."""

from __future__ import annotations

import csv
import io
from statistics import mean, stdev

import numpy as np
import pytest

from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.evaluation.cases import CaseScores
from MaskWhatMattersLib.evaluation.tables import (
    BEST_ON_TEST,
    case_columns,
    cases_csv,
    summarise,
    summary_csv,
    summary_markdown,
)

NAN = float("nan")


def row(case: str, dice: float, asd: float = 1.0, **more: object) -> CaseScores:
    values = {"dice": dice, "jaccard": dice / 2, "hd95_voxel": 3.0, "asd_voxel": asd}
    return CaseScores(case, 1, values, **more)


def two_seeds() -> list[CaseScores]:
    return [row("a", 0.8, seed="1"), row("b", 0.9, seed="1"), row("a", 0.6, seed="2"), row("b", 0.9, seed="2")]


def test_the_mean_is_over_seeds_and_each_deviation_over_what_it_says():
    dice = summarise(two_seeds())[0]
    assert dice.mean == pytest.approx(mean([0.85, 0.75]))
    assert dice.std_over_seeds == pytest.approx(stdev([0.85, 0.75]))
    assert dice.std_over_cases == pytest.approx(mean([stdev([0.8, 0.9]), stdev([0.6, 0.9])]))
    assert (dice.cases, dice.seeds) == (2, 2)


def test_nan_enters_no_mean_and_is_counted():
    asd = summarise([row("a", 0.8, 2.0), row("b", 0, NAN), row("c", 0.7, 4.0)])[3]
    assert (asd.metric, asd.mean, asd.missing, asd.cases) == ("asd_voxel", 3, 1, 3)


def test_deviations_of_one_are_not_a_number():
    dice = summarise([row("a", 0.8)])[0]
    assert np.isnan([dice.std_over_cases, dice.std_over_seeds]).all()


def test_a_metric_without_any_value_has_no_mean():
    assert np.isnan(summarise([row("a", 0, NAN)])[3].mean)


def test_labels_and_largest_components_are_summarised_apart():
    rows = [row("a", 0.8), row("a", 0.9, largest_component=True), CaseScores("a", 2, {"dice": 0.5})]
    found = [(s.label, s.largest_component, s.mean) for s in summarise(rows) if s.metric == "dice"]
    assert found == [(1, False, 0.8), (1, True, 0.9), (2, False, 0.5)]


def test_other_checkpoints_count_for_the_best_on_test_alone():
    rows = [*two_seeds(), row("a", 0.9, 7.0, seed="2", checkpoint="9000"), row("b", 0.9, seed="2", checkpoint="9000")]
    dice, _, _, asd = summarise(rows, best_on_test=True)
    assert dice.mean == pytest.approx(0.8)
    assert dice.best_on_test == pytest.approx(mean([0.85, 0.9]))
    assert asd.best_on_test == pytest.approx(mean([1, 4]))
    assert summarise(rows)[0].best_on_test is None


def test_the_best_on_test_needs_something_to_choose_from():
    with pytest.raises(InputError, match="only final checkpoints"):
        summarise(two_seeds(), best_on_test=True)


def test_a_checkpoint_that_found_nothing_is_not_the_best():
    rows = [row("a", 0.1), row("a", NAN, checkpoint="5")]
    assert summarise(rows, best_on_test=True)[0].best_on_test == 0.1


def test_the_best_on_test_is_a_column_only_where_asked_and_says_what_it_is():
    rows = [*two_seeds(), row("a", 0.9, seed="2", checkpoint="9000")]
    for table in (summary_csv, summary_markdown):
        assert BEST_ON_TEST not in table(summarise(rows))
        assert "best on test (as-published protocol)" in table(summarise(rows, best_on_test=True)).splitlines()[0]


def test_the_table_of_cases_has_one_row_each_and_writes_nan():
    text = cases_csv([row("a, b", 0.123456789, NAN, empty="prediction"), row("c", 1)], "voxel")
    first, second = csv.DictReader(io.StringIO(text))
    assert tuple(first) == case_columns("voxel")
    assert (first["case"], first["dice"], first["asd_voxel"], first["empty"]) == (
        "a, b",
        "0.123457",
        "nan",
        "prediction",
    )
    assert (second["dice"], second["largest_component"]) == ("1", "no")


def test_the_summary_is_the_same_in_csv():
    rows = list(csv.DictReader(io.StringIO(summary_csv(summarise(two_seeds())))))
    assert [r["metric"] for r in rows] == ["dice", "jaccard", "hd95_voxel", "asd_voxel"]
    assert float(rows[0]["mean"]) == pytest.approx(0.8)


def test_markdown_has_columns_of_one_width_and_no_stray_bars():
    text = summary_markdown(summarise([row("a", 0.8, label_name="left|right")]))
    lines = text.splitlines()
    assert len({len(line) for line in lines}) == 1
    assert "left\\|right" in lines[2]
    assert "nan" not in lines[2]


def test_markdown_shows_as_many_decimals_as_mean_something():
    values = {"dice": 0.5, "assd_mm": 1.0, "truth_ml": 45.955, "asd_voxel": 2.0}
    lines = summary_markdown(summarise([CaseScores("a", 1, values)])).splitlines()[2:]
    assert [line.split("|")[5].strip() for line in lines] == ["0.5000", "1.000", "45.95", "2.000"]
