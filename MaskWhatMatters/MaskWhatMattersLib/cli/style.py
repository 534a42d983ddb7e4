"""Options that subcommands share: how much they say and in which form, and another computer to work on."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_output_style(parser: argparse.ArgumentParser) -> None:
    """Add --json, --quiet and --verbose."""
    parser.add_argument("--json", action="store_true", default=False, help="print a machine-readable report")
    detail = parser.add_mutually_exclusive_group()
    detail.add_argument("-q", "--quiet", action="store_true", default=False, help="print errors only")
    detail.add_argument("-v", "--verbose", action="store_true", default=False, help="print log lines and details too")


def add_scheduler(parser: argparse.ArgumentParser) -> None:
    """Add the options of `cli.batch.Place`."""
    remote = parser.add_argument_group("another computer")
    remote.add_argument("--scheduler", metavar="ADDRESS", help="Dask scheduler that does the work, tls://host:8786")
    remote.add_argument("--tls-ca", type=Path, metavar="FILE", help="certificate of the scheduler's authority")
    remote.add_argument("--tls-cert", type=Path, metavar="FILE", help="certificate of this computer")
    remote.add_argument("--tls-key", type=Path, metavar="FILE", help="key of that certificate")
    remote.add_argument("--send-pixels", action="store_true", help="consent that pixel data leave this computer")
