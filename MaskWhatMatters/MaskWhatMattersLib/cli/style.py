"""Options that every subcommand has: how much it says, and in which form."""

from __future__ import annotations

import argparse


def add_output_style(parser: argparse.ArgumentParser) -> None:
    """Add --json, --quiet and --verbose."""
    parser.add_argument("--json", action="store_true", default=False, help="print a machine-readable report")
    detail = parser.add_mutually_exclusive_group()
    detail.add_argument("-q", "--quiet", action="store_true", default=False, help="print errors only")
    detail.add_argument("-v", "--verbose", action="store_true", default=False, help="print log lines and details too")
