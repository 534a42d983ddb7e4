"""`whatmatters check-setup`."""

from __future__ import annotations

import json
from dataclasses import asdict

from MaskWhatMattersLib.setup_report import format_report, setup_report


def check_setup(*, as_json: bool, quiet: bool) -> int:
    """Print the report; 1 when something is missing, else 0."""
    items = setup_report()
    if as_json:
        print(json.dumps([asdict(item) for item in items], indent=2))
    elif not quiet:
        print(format_report(items))
    return 1 if any(item.status == "missing" for item in items) else 0
