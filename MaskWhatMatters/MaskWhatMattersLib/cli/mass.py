"""`whatmatters mass`: segment by example, and make and tune the networks that do."""

from __future__ import annotations

from typing import Any

from MaskWhatMattersLib.cli import mass_pretrain, mass_proposals, mass_segment, mass_tune


def add_parser(commands: Any) -> None:
    """Add `mass` with its subcommands."""
    parser = commands.add_parser(
        "mass",
        help="segment scans as examples show it",
        description="In-context segmentation: mark it once, find it in other scans (MASS).",
    )
    subcommands = parser.add_subparsers(dest="subcommand", required=True, metavar="segment|proposals|pretrain|tune")
    mass_segment.add_parser(subcommands)
    mass_proposals.add_parser(subcommands)
    mass_pretrain.add_parser(subcommands)
    mass_tune.add_parser(subcommands)
