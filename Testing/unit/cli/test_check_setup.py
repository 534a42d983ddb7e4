from __future__ import annotations

import json

from MaskWhatMattersLib.cli import main
from MaskWhatMattersLib.setup_report import setup_report


def _expected_code() -> int:
    return 1 if any(item.status == "missing" for item in setup_report()) else 0


def test_the_report_is_printed_and_the_exit_code_says_whether_something_is_missing(capsys):
    assert main(["check-setup"]) == _expected_code()
    printed = capsys.readouterr().out
    assert "torch" in printed
    assert "Not for clinical use." in printed


def test_json_holds_the_same_items(capsys):
    assert main(["check-setup", "--json"]) == _expected_code()
    names = [item["name"] for item in json.loads(capsys.readouterr().out)]
    assert names == [item.name for item in setup_report()]


def test_quiet_prints_nothing(capsys):
    main(["check-setup", "-q"])
    assert capsys.readouterr().out == ""
