"""Versions on both sides are compared part by part."""

from __future__ import annotations

import pytest

from MaskWhatMattersLib.errors import JobError
from MaskWhatMattersLib.jobs.versions import library_versions, require_same_versions

HERE = {
    "python": "3.12.4",
    "MaskWhatMattersLib": "0.1.0",
    "distributed": "2026.8.0",
    "pydantic": "2.14.1",
    "numpy": "2.1.0",
}


@pytest.mark.parametrize("change", [{}, {"python": "3.12.9"}, {"pydantic": "2.14.7"}, {"numpy": "2.4.0"}])
def test_differences_that_do_no_harm_are_accepted(change: dict[str, str]) -> None:
    require_same_versions(HERE, {"worker": HERE | change})


@pytest.mark.parametrize(
    "change",
    [
        {"python": "3.11.9"},
        {"MaskWhatMattersLib": "0.1.1"},
        {"distributed": "2026.7.1"},
        {"pydantic": "2.9.0"},
        {"numpy": "1.26.4"},
    ],
)
def test_a_difference_that_matters_lists_both_sides(change: dict[str, str]) -> None:
    ((package, version),) = change.items()
    with pytest.raises(JobError) as caught:
        require_same_versions(HERE, {"scheduler": HERE, "worker tcp://a:1": HERE | change})
    assert caught.value.details == f"worker tcp://a:1: {package} is {version} there and {HERE[package]} here"
    assert "both sides" in caught.value.hint


def test_a_package_that_is_missing_there_is_a_difference() -> None:
    with pytest.raises(JobError, match="numpy is unknown there"):
        require_same_versions(HERE, {"worker": {name: HERE[name] for name in HERE if name != "numpy"}})


def test_this_process_knows_all_its_versions() -> None:
    assert library_versions().keys() == HERE.keys()
    require_same_versions(library_versions(), {"worker": library_versions()})
