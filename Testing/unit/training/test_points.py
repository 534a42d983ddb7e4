"""Points of curves as lines of text."""

import math
import subprocess
import sys

import pytest

from MaskWhatMattersLib.training.points import format_picture, format_point, parse_picture, parse_point


def test_a_point_is_one_readable_line():
    assert format_point(120, total=0.43210001, dice=0.81) == "point step=120 total=0.4321 dice=0.81"


@pytest.mark.parametrize("value", [0.0, -1e-12, 123456.0, math.inf])
def test_a_point_is_read_back(value):
    assert parse_point(format_point(7, **{"val/dice.main": value, "loss": 0.5})) == (
        7,
        {"val/dice.main": value, "loss": 0.5},
    )


def test_a_loss_that_is_no_number_is_read_back():
    step, values = parse_point(format_point(7, loss=math.nan))
    assert step == 7
    assert math.isnan(values["loss"])


@pytest.mark.parametrize(
    "line", ["", "point", "point loss=1", "point step=x", "point step=1 loss", "points step=1", "step 3: dice: 0.4"]
)
def test_other_lines_are_no_points(line):
    assert parse_point(line) is None


@pytest.mark.parametrize("name", ["two words", "a=b", "step", ""])
def test_a_name_that_could_not_be_read_back_is_refused(name):
    with pytest.raises(ValueError, match="Rename"):
        format_point(1, **{name: 1.0})


def test_points_are_read_without_torch():
    code = "import sys, MaskWhatMattersLib.training.points; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_a_picture_travels_as_one_line() -> None:
    line = format_picture(7, b"\x89PNG\n\x00\xff")
    assert "\n" not in line
    assert parse_picture(line) == (7, b"\x89PNG\n\x00\xff")
    assert parse_point(line) is None


@pytest.mark.parametrize(
    "text", ["", "picture", "picture step=1 png=", "picture step=x png=AA==", "picture step=1 png=A"]
)
def test_other_lines_are_no_pictures(text: str) -> None:
    assert parse_picture(text) is None
