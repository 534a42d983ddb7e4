"""Arguments of `whatmatters mass proposals`: masks of whatever is in scans, which a pretraining learns from."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from MaskWhatMattersLib.cli.style import add_output_style, add_scheduler

_EXAMPLE = """examples:
  whatmatters mass proposals scan.nii.gz --output proposals --preview
  whatmatters mass proposals scans/ --output proposals --json
  whatmatters mass proposals scan.nii.gz --segments labels.nii.gz --output proposals
  whatmatters mass proposals scans/ --method sam2 --weights sam2.1-hiera-small/ --output proposals

A pretraining makes its proposals itself; this shows what it would learn from. No name, no organ: only what looks as if
it belonged together, from half a millilitre to half of the body, overlapping and often wrong. Every input gives
NAME.proposals.npz, and with --preview some of them that do not hide one another: NAME_proposals.png over three planes,
and NAME_proposals.nii.gz, a label map on the input's own grid. report.json has their number by size and kind.
Results of an earlier run are replaced; other files are never touched.

Exit codes: 0 done, 1 some inputs failed, 2 usage error. Not for clinical use.
"""


def add_parser(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "proposals",
        help="show the masks that a pretraining would learn from",
        description="Propose masks of whatever is in scans, without knowing what it is.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("inputs", nargs="+", metavar="INPUT", type=Path, help="scan, DICOM folder, or folder of them")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder for the results")
    parser.add_argument("--preview", action="store_true", help="also write a picture and a label map")
    parser.add_argument(
        "--method", choices=("supervoxels", "sam2"), default="supervoxels", help="sam2 needs its weights and a GPU"
    )
    parser.add_argument("--weights", metavar="DIR|ID", help="SAM 2 in a folder, or its name on the hub")
    parser.add_argument("--allow-download", action="store_true", help="fetch the weights from their hub")
    parser.add_argument("--segments", type=Path, metavar="FILE", help="label map of the one input, to be mixed in")
    parser.add_argument("--spacing", type=float, default=1.5, metavar="MM", help="voxels of the proposals (1.5)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of what is chosen by chance (0)")
    parser.add_argument("--device", default="auto", metavar="NAME", help="of SAM 2: auto (default), cpu, cuda")
    parser.add_argument("--modality", choices=("CT", "MR", "other"), help="where the files do not say it")
    parser.add_argument("--replace-nan", type=float, metavar="VALUE", help="value for voxels that are no number")
    add_scheduler(parser)
    add_output_style(parser)
    parser.set_defaults(run=run)


def run(given: dict[str, Any]) -> int:
    """Run the subcommand; returns its exit code.

    Raises:
        InputError: A usage error, found before any work.
    """
    from MaskWhatMattersLib.cli.mass_proposals_files import propose

    return propose(given)
