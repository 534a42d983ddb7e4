"""Arguments and exit codes of the command `whatmatters`; each subcommand's work is in its own file."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from MaskWhatMattersLib import __version__
from MaskWhatMattersLib.cli import corn, evaluate, finetune, masks, mass, pretrain
from MaskWhatMattersLib.cli.codes import DONE, INTERRUPTED, SOME_FAILED, USAGE
from MaskWhatMattersLib.cli.style import add_output_style, add_scheduler
from MaskWhatMattersLib.errors import InputError, JobError

__all__ = ["DONE", "INTERRUPTED", "SOME_FAILED", "USAGE", "build_parser", "main"]

_EPILOG = "Exit codes: 0 done, 1 some inputs failed, 2 usage error or unknown concept. Not for clinical use."
_RELEVANCE_EXAMPLE = """examples:
  whatmatters relevance chest.png --prompt "left lung" --prompt "right lung" --output results
  whatmatters relevance scans/ --prompt liver --modality MR --threshold 0.4 --output results
  whatmatters relevance --config settings.toml

For every input and prompt the output folder gets NAME_PROMPT_relevance.nii.gz and NAME_PROMPT_mask.nii.gz, and for all
of them report.json and contact_sheet.png. Results of an earlier run are replaced; other files are never touched.
"""


def build_parser() -> argparse.ArgumentParser:
    """The whole command line."""
    parser = argparse.ArgumentParser(
        prog="whatmatters", description="Type what matters in a medical image and see it.", epilog=_EPILOG
    )
    parser.add_argument("--version", action="version", version=f"whatmatters {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_relevance(commands)
    masks.add_parser(commands)
    corn.add_parser(commands)
    mass.add_parser(commands)
    pretrain.add_parser(commands)
    finetune.add_parser(commands)
    evaluate.add_parser(commands)
    _add_check_setup(commands)
    return parser


def _add_relevance(commands: Any) -> None:
    parser = commands.add_parser(
        "relevance",
        help="find what prompts name in images",
        description="Find what prompts name in images; results are relevance maps and masks on each image's own grid.",
        epilog=_RELEVANCE_EXAMPLE + "\n" + _EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,  # only what was typed replaces a value of the settings file
        allow_abbrev=False,
    )
    parser.add_argument("inputs", nargs="*", metavar="INPUT", type=Path, help="image, DICOM folder, or folder of them")
    parser.add_argument(
        "--prompt", dest="prompts", action="append", metavar="TEXT", help="what to look for; repeatable"
    )
    parser.add_argument("--output", type=Path, metavar="DIR", help="folder for the results")
    parser.add_argument("--localizer", metavar="NAME", help="who looks (default: builtin)")
    parser.add_argument("--threshold", type=float, metavar="T", help="mask from this relevance on, above 0 to 1")
    parser.add_argument("--modality", metavar="CT|MR|XR", help="where the files do not say it")
    parser.add_argument("--device", metavar="NAME", help="auto (default), cpu, cuda, cuda:1, mps")
    parser.add_argument("--model", metavar="NAME", help="model file, folder or name, instead of the localizer's own")
    parser.add_argument("--allow-download", action="store_true", help="fetch the model from its hub if it is not here")
    parser.add_argument("--roi", type=Path, metavar="FILE", help="label map for the localizer roi")
    parser.add_argument("--replace-nan", type=float, metavar="VALUE", help="value for voxels that are no number")
    parser.add_argument("--config", type=Path, metavar="FILE", help="TOML file with any of these settings")
    add_scheduler(parser)
    add_output_style(parser)
    parser.set_defaults(run=_relevance)


def _add_check_setup(commands: Any) -> None:
    parser = commands.add_parser(
        "check-setup",
        help="say what is installed and what is missing",
        description="Say what is installed, what is missing, and what to do about it.",
        epilog="example:\n  whatmatters check-setup --json > setup.json\n\nExit codes: 0 ready, 1 something missing.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_output_style(parser)
    parser.set_defaults(run=_check_setup)


def _relevance(given: dict[str, Any]) -> int:
    from MaskWhatMattersLib.cli.relevance import relevance

    return relevance(given)


def _check_setup(given: dict[str, Any]) -> int:
    from MaskWhatMattersLib.cli.check_setup import check_setup

    return check_setup(as_json=given["json"], quiet=given["quiet"])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code.

    Raises:
        SystemExit: With 2 for arguments that argparse refuses, with 0 for --help and --version.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a prompt or file name the terminal cannot show must not end the run
            stream.reconfigure(errors="backslashreplace")
    given = vars(build_parser().parse_args(arguments))
    command = " ".join(filter(None, (given.pop("command"), given.pop("subcommand", None))))
    try:
        return int(given.pop("run")(given))
    except InputError as error:
        print(f"whatmatters {command}: {error}", file=sys.stderr)
        return USAGE
    except JobError as error:
        print(f"whatmatters {command}: {error} {error.hint}".rstrip(), file=sys.stderr)
        return SOME_FAILED
    except KeyboardInterrupt:
        print(f"whatmatters {command}: stopped. Results written so far are complete.", file=sys.stderr)
        return INTERRUPTED
