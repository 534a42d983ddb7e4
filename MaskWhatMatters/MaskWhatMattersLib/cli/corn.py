"""`whatmatters corn`: segment the left atrium, and train the networks that do."""

from __future__ import annotations

from typing import Any

from MaskWhatMattersLib.cli import corn_segment, corn_train


def add_parser(commands: Any) -> None:
    """Add `corn` with its subcommands."""
    parser = commands.add_parser(
        "corn",
        help="segment the left atrium in MR, or train on your own scans",
        description="Left atrium in MR, learned from few labelled and many unlabelled scans (CORN).",
    )
    subcommands = parser.add_subparsers(dest="subcommand", required=True, metavar="segment|train")
    corn_segment.add_parser(subcommands)
    corn_train.add_parser(subcommands)
