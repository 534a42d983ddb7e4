"""Arguments of `whatmatters mass segment`: segment scans as examples show it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from MaskWhatMattersLib.cli.style import add_output_style, add_scheduler

_EXAMPLE = """examples:
  whatmatters mass segment --reference ct1.nii.gz ct1-labels.nii.gz scans/ --output results
  whatmatters mass segment --reference a.nrrd a.seg.nrrd --reference b.nrrd b.seg.nrrd new.nrrd --output results
  whatmatters mass segment --reference ct1.nii.gz labels.nii.gz --label 1=liver --label 5=spleen --labels 1,5 \\
      --save-task abdomen.task.safetensors scans/ --output results
  whatmatters mass segment --task abdomen.task.safetensors scans/ --output results

A reference is a scan and what is marked on it: a label map, or a segmentation of Slicer (.seg.nrrd), whose names are
used. Two folders instead are paired by name. Several references are better than one. References themselves and
.seg.nrrd files among the inputs are not segmented. A task file keeps what was learned, without any image, to be applied
later or elsewhere.

Every input gives NAME.nii.gz with the values of the references on the input's own grid; folders keep their structure.
report.csv gets one row per input and label, and one without label for an input that failed:
  volume_ml   of the label map
  quality     estimated Dice, 0 to 1: how well the result explains the references in turn; look at low ones first
A folder that holds inputs or references is refused as output. Results of an earlier run are replaced; other files are
never touched. Tumours and other findings are hardly found by example alone: whatmatters mass tune.

Exit codes: 0 done, 1 some inputs failed, 2 usage error. Not for clinical use.
"""


def add_parser(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "segment",
        help="segment scans as examples show it",
        description="Segment scans as one or more examples show it.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("inputs", nargs="*", metavar="INPUT", type=Path, help="scan, DICOM folder, or folder of them")
    parser.add_argument(
        "--reference",
        dest="references",
        action="append",
        default=[],
        nargs=2,
        type=Path,
        metavar=("IMAGE", "LABELMAP"),
        help="scan with its label map or .seg.nrrd; repeatable",
    )
    parser.add_argument("--task", type=Path, metavar="FILE", help="task file, instead of references")
    parser.add_argument("--output", type=Path, metavar="DIR", help="folder for the results")
    parser.add_argument(
        "--save-task", type=Path, metavar="FILE", help="write what was learned of the references, .task.safetensors"
    )
    parser.add_argument(
        "--label",
        dest="names",
        action="append",
        default=[],
        metavar="VALUE=NAME",
        help="what a value in the references means; repeatable",
    )
    parser.add_argument(
        "--labels", metavar="LIST", help="values or names to segment, with commas between (default: all)"
    )
    parser.add_argument("--model", metavar="FILE|NAME", help="model (default: mass-tiny)")
    parser.add_argument("--device", default="auto", metavar="NAME", help="auto (default), cpu, cuda, cuda:1")
    parser.add_argument("--modality", choices=("CT", "MR", "other"), help="where the files do not say it")
    parser.add_argument("--replace-nan", type=float, metavar="VALUE", help="value for voxels that are no number")
    _add_advanced(parser)
    add_scheduler(parser)
    add_output_style(parser)
    parser.set_defaults(run=run)


def _add_advanced(parser: argparse.ArgumentParser) -> None:
    advanced = parser.add_argument_group("advanced")
    advanced.add_argument("--spacing", type=float, metavar="MM", help="voxels that the network sees (default: its own)")
    advanced.add_argument("--threshold", type=float, metavar="T", help="probability of a label's voxels (default: 0.5)")
    advanced.add_argument(
        "--overlap", type=float, metavar="SHARE", help="of windows (default: 0.5 on a GPU, else 0.25)"
    )
    advanced.add_argument("--every-window", action="store_true", help="skip no window that a coarse look finds empty")
    advanced.add_argument(
        "--retrieval",
        choices=("auto", "yes", "no"),
        default="auto",
        help="choose the most alike references per label (auto: from four references on)",
    )
    advanced.add_argument("--mirrored", action="store_true", help="average over mirror images; needs references")
    advanced.add_argument(
        "--largest-piece",
        choices=("auto", "yes", "no"),
        default="auto",
        help="drop all but the largest piece of a label (auto: of labels that are one piece in all references)",
    )
    advanced.add_argument("--no-quality", action="store_true", help="do not estimate the quality, which takes time")
    advanced.add_argument("--precision", choices=("auto", "fp32", "bf16"), default="auto", help="of the network")
    advanced.add_argument(
        "--keep",
        action="append",
        default=[],
        choices=("probability",),
        help="also write NAME_LABEL_probability.nii.gz per label",
    )


def run(given: dict[str, Any]) -> int:
    """Run the subcommand; returns its exit code.

    Raises:
        InputError: A usage error, found before any work.
    """
    from MaskWhatMattersLib.cli.mass_segment_files import segment

    return segment(given)
