"""Settings of a job are checked before anything starts."""

from __future__ import annotations

import subprocess
import sys

import pytest
from sample_jobs import Add, Count, Missing

from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.jobs.spec import load_function


def test_a_wrong_value_and_an_unknown_setting_are_both_named() -> None:
    with pytest.raises(InputError, match=r"steps: .*found 'many'.*speed: .*Correct them"):
        Count(steps="many", speed=3)  # type: ignore[arg-type, call-arg]


def test_a_spec_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Add().amount = 2.0  # type: ignore[misc]


def test_the_function_is_found_by_name() -> None:
    assert load_function(Add()).__name__ == "add"


def test_a_function_that_is_not_there_is_named() -> None:
    with pytest.raises(ImportError, match="not_there"):
        load_function(Missing())


def test_importing_the_room_loads_neither_dask_nor_torch() -> None:
    code = (
        "import sys, MaskWhatMattersLib.jobs, MaskWhatMattersLib.jobs.relevance_job; "
        "print({'dask', 'distributed', 'torch', 'psutil', 'cryptography'} & set(sys.modules))"
    )
    library = next(path for path in sys.path if path.endswith("MaskWhatMatters"))
    shown = subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": library}, capture_output=True, text=True)
    assert shown.stdout.strip() == "set()", shown.stderr
