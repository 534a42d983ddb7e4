"""`whatmatters mass pretrain`: learn to segment by example from scans without labels; stop and go on at any time."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from MaskWhatMattersLib.cli.style import add_output_style
from MaskWhatMattersLib.cli.training_command import OutputStyle, add_resume, print_schema, run_training
from MaskWhatMattersLib.errors import InputError

if TYPE_CHECKING:
    from MaskWhatMattersLib.jobs.mass_pretrain_job import MassPretrainSpec
    from MaskWhatMattersLib.training.run_result import RunResult

_PLAIN = ("batch_size", "labels", "crop", "precision", "seed")
_EXAMPLE = """examples:
  whatmatters mass pretrain --images scans --minutes 120 --output my-archive
  whatmatters mass pretrain --images scans --only-prepare --output my-archive
  whatmatters mass pretrain --images manifest.csv --preset small --device cuda --output small
  torchrun --nproc-per-node 4 -m MaskWhatMattersLib.cli mass pretrain --images scans --preset paper --output big

IMAGES is a folder of CT or MR volumes, or a manifest (CSV with the column path, and split where only some are to be
learned from: "train"). No labels are needed: masks of whatever is in a scan are made first, once per scan, and kept in
the cache. The same command again goes on where the last one stopped, on any number of GPUs. The output folder gets
model.safetensors with its card, for: whatmatters mass segment --model DIR/model.safetensors

Exit codes: 0 done, 1 the training failed, 2 usage error or scans that cannot be used. Not for clinical use.
"""


def add_parser(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "pretrain",
        help="learn to segment by example from scans without labels",
        description="Learn to segment by example from scans without labels, by in-context segmentation of automatic "
        "masks (MASS).",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,  # only what was typed replaces a value of the settings file
        allow_abbrev=False,
    )
    parser.add_argument("--images", type=Path, metavar="DIR|MANIFEST", help="folder of scans, or a manifest")
    parser.add_argument("--output", type=Path, metavar="DIR", help="folder for the model, its checkpoint and its log")
    parser.add_argument(
        "--preset", choices=("cpu", "small", "paper"), help="settings to start from (without --config: cpu)"
    )
    parser.add_argument("--cache", type=Path, metavar="DIR", help="folder of prepared scans (default: yours)")
    parser.add_argument("--only-prepare", action="store_true", help="fill the cache, and learn nothing yet")
    parser.add_argument("--steps", type=int, metavar="N", help="optimizer steps")
    parser.add_argument("--minutes", type=float, metavar="M", help="budget; as many steps as fit")
    parser.add_argument("--batch-size", type=int, metavar="N", help="episodes per step and process")
    parser.add_argument("--labels", type=int, metavar="K", help="masks per episode")
    parser.add_argument("--crop", type=int, metavar="N", help="side of a crop, voxels; a multiple of 16")
    parser.add_argument("--precision", choices=("auto", "fp32", "bf16"), help="arithmetic (default: auto)")
    parser.add_argument("--seed", type=int, metavar="N", help="of every random choice")
    parser.add_argument("--device", metavar="NAME", help="auto (default), cpu, cuda, cuda:1")
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
        given: What was typed.

    Returns:
        Exit code.

    Raises:
        InputError: A usage error, or scans or settings that cannot be used.
        JobError: The training failed.
    """
    style = OutputStyle.taken_from(given)
    if given.pop("print_schema", False):
        from MaskWhatMattersLib.mass.pretrain_config import MassPretrainConfig

        return print_schema(MassPretrainConfig)
    spec = read_spec(given)
    return run_training(
        spec,
        spec.output,
        style,
        command="whatmatters mass pretrain",
        inputs=[spec.images] if spec.images is not None and spec.images.is_dir() else [],
        scores=(),
        report=_report,
        summary=_prepared if spec.only_prepare else _summary,
    )


def read_spec(given: dict[str, Any]) -> MassPretrainSpec:
    """The job that was typed.

    Raises:
        InputError: Something is missing or wrong; all of it, as far as it can be told before any work.
    """
    from MaskWhatMattersLib.config_files import merged, read_toml
    from MaskWhatMattersLib.jobs.mass_pretrain_job import MassPretrainSpec, mass_pretrain_settings

    if missing := [f"--{name} is missing" for name in ("images", "output") if name not in given]:
        raise InputError(f"{'; '.join(missing)}. See whatmatters mass pretrain --help.")
    values = dict(given)
    config_file = values.pop("config", None)
    config = read_toml(config_file) if config_file is not None else {}
    typed = {name: values.pop(name) for name in _PLAIN if name in values}
    if config_file is None:
        values.setdefault("preset", "cpu")
    spec = MassPretrainSpec(config=merged(config, typed), **values)
    mass_pretrain_settings(spec)
    return spec


def _report(result: RunResult) -> dict[str, Any]:
    return {
        "model": str(result.path),
        "name": result.name,
        "steps": result.steps,
        "metrics": result.metrics,
        "notes": list(result.notes),
    }


def _prepared(result: RunResult) -> str:
    return "\n".join((*result.notes, "Run the same command without --only-prepare to learn from them."))


def _summary(result: RunResult) -> str:
    scores = "".join(f", {name} {result.metrics[name]:.4f}" for name in ("loss", "dice") if name in result.metrics)
    return (
        f"{result.path}: {result.steps} steps{scores}. Not for clinical use.\n"
        f"Use it: whatmatters mass segment --reference IMAGE LABELMAP SCAN --model {result.path} --output DIR"
    )
