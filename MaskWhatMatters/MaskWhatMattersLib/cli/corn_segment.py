"""Arguments of `whatmatters corn segment`: the left atrium in MR scans, as label maps and a table."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from MaskWhatMattersLib.cli.style import add_output_style, add_scheduler

_EXAMPLE = """examples:
  whatmatters corn segment scan.nii.gz --output results
  whatmatters corn segment scans/ --field-of-view full --keep disagreement --output results
  whatmatters corn segment scans/ --model my-site/model.safetensors --output results

Every input gives NAME.nii.gz, 1 in the left atrium, on the input's own grid; folders keep their structure. report.csv
gets one row per input:
  volume_ml         of the label map
  agreement         Dice of the two branches of the network, 0 to 1
  boundary_entropy  doubt on the border of the result, 0 to 1
  review            yes: a person should look again (the reasons are printed, and in --json); no; failed
A folder that holds inputs is refused as output. Results of an earlier run are replaced; other files are never touched.

Exit codes: 0 done, 1 some inputs failed, 2 usage error. Not for clinical use.
"""


def add_parser(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "segment",
        help="segment the left atrium in MR scans",
        description="Segment the left atrium in late gadolinium enhanced MR scans.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("inputs", nargs="+", metavar="INPUT", type=Path, help="scan, DICOM folder, or folder of them")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder for the results")
    parser.add_argument("--model", metavar="FILE|NAME", help="model (default: left-atrium, which is bundled)")
    parser.add_argument("--finder", metavar="FILE|NAME", help="network that finds the atrium in whole scans")
    parser.add_argument(
        "--field-of-view",
        choices=("auto", "crop", "full"),
        default="auto",
        help="crop: the scan shows the heart only; full: find the atrium first; auto (default): by its size",
    )
    parser.add_argument("--mirrored", action="store_true", help="average over mirror images, four times the work")
    parser.add_argument("--device", default="auto", metavar="NAME", help="auto (default), cpu, cuda, cuda:1")
    parser.add_argument("--modality", choices=("CT", "MR", "other"), help="where the files do not say it")
    parser.add_argument("--replace-nan", type=float, metavar="VALUE", help="value for voxels that are no number")
    parser.add_argument(
        "--keep",
        action="append",
        default=[],
        choices=("disagreement", "probability"),
        help="also write NAME_disagreement.nii.gz or NAME_probability.nii.gz; repeatable",
    )
    add_scheduler(parser)
    add_output_style(parser)
    parser.set_defaults(run=run)


def run(given: dict[str, Any]) -> int:
    """Run the subcommand; returns its exit code.

    Raises:
        InputError: A usage error, found before any work.
    """
    from MaskWhatMattersLib.cli.corn_segment_files import segment

    return segment(given)
