"""Arguments of `whatmatters evaluate`: how good segmentations are, against their truth."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from MaskWhatMattersLib.cli.style import add_output_style

_EXAMPLE = """examples:
  whatmatters evaluate --prediction results/ --truth labels/ --spacing mm --output scores.csv
  whatmatters evaluate --prediction seed1=run1/ --prediction seed2=run2/ --truth labels/ --spacing voxel \\
      --largest-component --output scores.csv

Files are paired by name, whatever their format. Each pair must lie on one grid. scores.csv gets one row per case and
label; mean and standard deviation over cases and seeds are printed.
  --spacing voxel  dice, jaccard, hd95_voxel, asd_voxel: as the published left atrium protocol computes them, distances
                   in voxels, asd from prediction to truth only
  --spacing mm     dice, jaccard, hd95_mm, assd_mm, nsd_1mm, prediction_ml, truth_ml, difference_ml: real spacing, assd
                   in both directions, nsd_1mm the share of the surfaces within 1 mm
An empty prediction has overlap 0 and distances nan; nan enters no mean and is counted.

Exit codes: 0 done, 1 some inputs failed or a truth has no prediction, 2 usage error. Not for clinical use.
"""


def add_parser(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "evaluate",
        help="compare segmentations with their truth",
        description="Compare segmentations with their truth: overlap, surface distances and volumes, as a table.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--prediction",
        dest="predictions",
        action="append",
        required=True,
        metavar="[NAME=]DIR",
        help="folder of predicted label maps; repeat it with a NAME each for several seeds",
    )
    parser.add_argument("--truth", type=Path, required=True, metavar="DIR", help="folder of true label maps")
    parser.add_argument("--spacing", choices=("voxel", "mm"), required=True, help="unit of distances, see below")
    parser.add_argument("--output", type=Path, required=True, metavar="FILE.csv", help="table to write")
    parser.add_argument(
        "--label",
        dest="labels",
        action="append",
        default=[],
        metavar="VALUE[=NAME]",
        help="label to score; repeatable (default: every label of any truth)",
    )
    parser.add_argument(
        "--largest-component",
        action="store_true",
        help="score the largest piece of each predicted label too, in rows of its own",
    )
    parser.add_argument(
        "--best-on-test",
        action="append",
        default=[],
        metavar="[NAME=]DIR",
        help="predictions of another checkpoint of that seed; adds the column 'best on test (as-published protocol)'",
    )
    add_output_style(parser)
    parser.set_defaults(run=run)


def run(given: dict[str, Any]) -> int:
    """Run the subcommand; returns its exit code.

    Raises:
        InputError: A usage error, found before any work.
    """
    from MaskWhatMattersLib.cli.evaluate_files import evaluate

    return evaluate(given)
