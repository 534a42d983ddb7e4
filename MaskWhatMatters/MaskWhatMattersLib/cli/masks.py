"""Arguments of `whatmatters masks`: see which tokens of images would be hidden, and fill the relevance cache."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from MaskWhatMattersLib.cli.style import add_output_style

KINDS = ("relevance", "random", "block", "grid")
_EXAMPLE = """examples:
  whatmatters masks chest.png --prompt "left lung" --inside 0.6 --outside 0.2 --output previews
  whatmatters masks pictures/ --prompt "brain tumor" --equal-budget --ratio 0.4 --output previews --json
  whatmatters masks scans/ --dims 3 --patch-size 16,16,8 --prompt liver --expand-mm 10 --output previews
  whatmatters masks pictures/ --config configs/pretrain/mwm-low.toml --output previews

For every image the output folder gets NAME_masked.png, the slice where the region is largest without and with hidden
tokens, and for all of them report.json with the realised ratios. What the prompts find is kept, so that a pretraining
on the same images does not look again. Results of an earlier run are replaced; other files are never touched.

Exit codes: 0 done, 1 some inputs failed, 2 usage error or unknown concept. Not for clinical use.
"""


def add_parser(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "masks",
        help="preview what a pretraining would hide, and keep what prompts find",
        description="Preview which tokens of images would be hidden, and keep what prompts find for a pretraining.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,  # only what was typed replaces a value of the settings file
        allow_abbrev=False,
    )
    parser.add_argument("inputs", nargs="+", metavar="INPUT", type=Path, help="image, DICOM folder, or folder of them")
    parser.add_argument("--output", type=Path, metavar="DIR", required=True, help="folder for the previews")
    _add_masking(parser)
    _add_region(parser)
    parser.add_argument("--dims", type=int, choices=(2, 3), help="tokens in 2D or 3D (default: 2 for pictures, else 3)")
    parser.add_argument(
        "--patch-size", type=whole_numbers, metavar="N[,N..]", help="voxels of a token, one number or one per axis (16)"
    )
    parser.add_argument(
        "--size",
        type=whole_numbers,
        metavar="N[,N..]",
        help="voxels of a crop about the region (default: the whole image)",
    )
    parser.add_argument("--position", type=float, metavar="P", help="slice to show, from 0, feet, to 1, head")
    parser.add_argument("--seed", type=int, metavar="N", help="another seed hides other tokens (default: 0)")
    parser.add_argument("--cache", type=Path, metavar="DIR", help="folder of kept relevance (default: the user's)")
    parser.add_argument("--device", metavar="NAME", help="auto (default), cpu, cuda, cuda:1, mps")
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="TOML file of a pretraining; masking, region and preprocessing count",
    )
    add_output_style(parser)
    parser.set_defaults(run=run)


def run(given: dict[str, Any]) -> int:
    """Run the subcommand; returns its exit code.

    Raises:
        InputError: A usage error, found before any work.
    """
    from MaskWhatMattersLib.cli.mask_previews import preview_masks

    return preview_masks(given)


def _add_masking(parser: argparse.ArgumentParser) -> None:
    masking = parser.add_argument_group("what is hidden")
    masking.add_argument("--masking", dest="kind", choices=KINDS, help="how tokens are chosen (default: relevance)")
    masking.add_argument("--ratio", type=float, metavar="R", help="hidden share of all tokens, where it counts (0.6)")
    masking.add_argument("--inside", type=float, metavar="R", help="hidden share in the relevant region (0.6)")
    masking.add_argument("--outside", type=float, metavar="R", help="hidden share outside of it (0.2)")
    masking.add_argument("--equal-budget", action="store_true", help="hide the share --ratio of every image")
    masking.add_argument("--rule", choices=("area", "nearest"), help="which tokens a region takes (default: area)")


def _add_region(parser: argparse.ArgumentParser) -> None:
    region = parser.add_argument_group("the relevant region")
    region.add_argument("--prompt", dest="prompts", action="append", metavar="TEXT", help="what matters; repeatable")
    region.add_argument("--localizer", metavar="NAME", help="who looks (default: builtin)")
    region.add_argument("--model", metavar="NAME", help="model file, folder or name, instead of the localizer's own")
    region.add_argument("--threshold", type=float, metavar="T", help="region from this relevance on, above 0 to 1")
    region.add_argument("--expand", type=float, metavar="F", help="factor of the sides of its boxes (1)")
    region.add_argument("--expand-mm", type=float, metavar="MM", help="added to every side of its boxes, mm (0)")


def whole_numbers(text: str) -> tuple[int, ...]:
    """One whole number, or several with commas."""
    return tuple(int(side) for side in text.split(","))
