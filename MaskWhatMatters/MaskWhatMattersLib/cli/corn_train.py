"""`whatmatters corn train`: train the left atrium networks on folders of scans; stop and go on at any time."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from MaskWhatMattersLib.cli.style import add_output_style
from MaskWhatMattersLib.cli.training_command import OutputStyle, add_resume, print_schema, run_training
from MaskWhatMattersLib.errors import InputError

if TYPE_CHECKING:
    from MaskWhatMattersLib.corn.training_result import TrainedModel
    from MaskWhatMattersLib.jobs.corn_train_job import CornTrainSpec

MODES = ("ours", "paper", "code", "supervised", "mean_teacher")
_REQUIRED = ("images", "labels", "labelled", "output")
_EXAMPLE = """examples:
  whatmatters corn train --images images --labels labels --labelled 4 --validation 5 --output my-site
  whatmatters corn train --images images --labels labels --labelled first.txt --unlabelled more --minutes 60 \\
      --start-model left-atrium --output my-site
  whatmatters corn train --images images --labels labels --labelled 4 --config configs/corn/paper.toml --output paper
  torchrun --nproc-per-node 4 -m MaskWhatMattersLib.cli corn train --images images --labels labels --labelled 16 \\
      --output big

Images and label maps are paired by name. A file train.list beside the images gives their order and says which of them
take part; without it the order is that of the names. The same command again goes on where the last one stopped.

Exit codes: 0 done, 1 the training failed, 2 usage error or scans that cannot be used. Not for clinical use.
"""


def add_parser(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "train",
        help="train on few labelled and many unlabelled scans",
        description="Train the left atrium networks on few labelled and many unlabelled MR scans.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,  # only what was typed replaces a value of the settings file
        allow_abbrev=False,
    )
    parser.add_argument("--images", type=Path, metavar="DIR", help="folder of images")
    parser.add_argument(
        "--labels", type=Path, metavar="DIR", help="folder of label maps with the names of their images"
    )
    parser.add_argument(
        "--labelled", metavar="N|LIST", help="how many or which are labelled: first N, names, text file"
    )
    parser.add_argument("--output", type=Path, metavar="DIR", help="folder for the model, its checkpoint and its log")
    parser.add_argument("--unlabelled", type=Path, metavar="DIR", help="another folder of images without labels")
    parser.add_argument(
        "--validation", metavar="N|LIST", help="which measure the result, never learned from: last N, ..."
    )
    parser.add_argument("--foreground", type=int, metavar="VALUE", help="value of the atrium in the label maps")
    parser.add_argument("--mode", choices=MODES, help="method (default: ours)")
    parser.add_argument("--accuracy-layer", action="store_true", help="add averaged teacher, copy-paste and warm-up")
    parser.add_argument("--start-model", metavar="NAME", help="model to start from, name or file (default: none)")
    parser.add_argument("--minutes", type=float, metavar="M", help="budget; as many steps as fit")
    parser.add_argument("--steps", type=int, metavar="N", help="optimizer steps")
    parser.add_argument("--device", metavar="NAME", help="auto (default), cpu, cuda, cuda:1, mps")
    parser.add_argument("--config", type=Path, metavar="FILE", help="TOML file with any setting of the training")
    parser.add_argument(
        "--print-schema", action="store_true", help="print all settings of the TOML file, as JSON schema"
    )
    add_resume(parser)
    add_output_style(parser)
    parser.set_defaults(run=run)


def run(given: dict[str, Any]) -> int:
    """Run the subcommand.

    Args:
        given: What was typed, by the names of `CornTrainSpec`, and config, print_schema, json, quiet, verbose.

    Returns:
        Exit code.

    Raises:
        InputError: A usage error, or scans, settings or a start model that cannot be used.
        JobError: The training failed.
    """
    style = OutputStyle.taken_from(given)
    if given.pop("print_schema", False):
        from MaskWhatMattersLib.corn.config import CornTrainingConfig

        return print_schema(CornTrainingConfig)
    spec = read_spec(given)
    return run_training(
        spec,
        spec.output,
        style,
        command="whatmatters corn train",
        inputs=[folder for folder in (spec.images, spec.labels, spec.unlabelled) if folder],
        scores=("dice_auxiliary",),
        report=_report,
        summary=_summary,
    )


def read_spec(given: dict[str, Any]) -> CornTrainSpec:
    """The job that was typed.

    Raises:
        InputError: Something is missing or wrong; all of it, as far as it can be told before any work.
    """
    from MaskWhatMattersLib.config_files import read_toml
    from MaskWhatMattersLib.datasets.training_cases import selection
    from MaskWhatMattersLib.jobs.corn_train_job import CornTrainSpec

    if missing := [f"--{name} is missing" for name in _REQUIRED if name not in given]:
        raise InputError(f"{'; '.join(missing)}. See whatmatters corn train --help.")
    values = dict(given)
    for name in ("labelled", "validation"):
        if name in values:
            values[name] = selection(values[name])
    if (config := values.pop("config", None)) is not None:
        values["config"] = read_toml(config)
    return CornTrainSpec(**values)


def _report(trained: TrainedModel) -> dict[str, Any]:
    return {
        "model": str(trained.path),
        "name": trained.name,
        "steps": trained.steps,
        "validation_dice": trained.validation_dice,
        "validation_cases": trained.validation_cases,
    }


def _summary(trained: TrainedModel) -> str:
    score = "not validated"
    if trained.validation_dice is not None:
        score = f"Dice {trained.validation_dice:.4f} over {trained.validation_cases} validation scans"
    return (
        f"{trained.path}: {trained.steps} steps, {score}. Not for clinical use.\n"
        f"Use it: whatmatters corn segment SCAN --model {trained.path} --output DIR"
    )
