"""What all commands that train show while they do."""

from __future__ import annotations

import argparse
import io

import pytest

from MaskWhatMattersLib.cli.display import Display
from MaskWhatMattersLib.cli.training_command import Reporter, add_resume, training_display
from MaskWhatMattersLib.jobs import Event
from MaskWhatMattersLib.training.points import format_picture, format_point


def test_points_come_every_half_minute_and_scores_always():
    now, stream = [0.0], io.StringIO()
    report = Reporter(
        Display(1, quiet=False, verbose=False, stream=stream), "run", scores=["dice_auxiliary"], clock=lambda: now[0]
    )
    for step in range(1, 5):
        now[0] += 20
        scores = {"dice": 0.5, "dice_auxiliary": 0.4} if step == 2 else {"dice": 1.0}
        report(Event("log", message=format_point(step, loss=0.25, **scores)))
    assert [line.split(":")[0] for line in stream.getvalue().splitlines()] == ["step 1", "step 2", "step 4"]


def test_a_person_at_a_terminal_gets_a_bar(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: True)
    with training_display(quiet=False, stream=stream) as display:
        report = Reporter(display, "run")
        report(Event("stage", stage="Training", total=2))
        report(Event("log", message="one line"))
        report(Event("progress", stage="Training", step=1, total=2))
    assert "one line" in stream.getvalue()
    assert "All images" not in stream.getvalue()


def test_pictures_are_not_shown_as_lines():
    stream = io.StringIO()
    Reporter(Display(1, quiet=False, verbose=False, stream=stream), "run")(
        Event("log", message=format_picture(1, b"x"))
    )
    assert stream.getvalue() == ""


@pytest.mark.parametrize(
    ("typed", "given"), [([], {}), (["--resume"], {"resume": True}), (["--fresh"], {"resume": False})]
)
def test_a_run_goes_on_unless_the_person_says_otherwise(typed, given):
    parser = argparse.ArgumentParser()
    add_resume(parser)
    assert vars(parser.parse_args(typed)) == given
