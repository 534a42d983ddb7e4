"""`whatmatters pretrain`: learn an encoder from images without labels; stop and go on at any time."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from MaskWhatMattersLib.cli.style import add_output_style
from MaskWhatMattersLib.cli.training_command import OutputStyle, add_resume, print_schema, run_training
from MaskWhatMattersLib.errors import InputError

if TYPE_CHECKING:
    from MaskWhatMattersLib.jobs.pretrain_job import PretrainSpec
    from MaskWhatMattersLib.training.run_result import RunResult

_MASKING = {
    "masking": "kind",
    "ratio": "ratio",
    "inside": "inside",
    "outside": "outside",
    "equal_budget": "equal_budget",
}
_REGION = {"prompts": "prompts", "region": "source", "localizer": "localizer", "expand_mm": "expand_mm"}
_PLAIN = ("epochs", "batch_size", "seed")
_EXAMPLE = """examples:
  whatmatters pretrain --data images --dims 2 --output encoder
  whatmatters pretrain --data scans --method mae --prompt "left lung" --inside 0.6 --outside 0.2 --output lungs
  whatmatters pretrain --data manifest.csv --preset paper --method spark --dims 2 --device cuda --output paper
  torchrun --nproc-per-node 4 -m MaskWhatMattersLib.cli pretrain --data scans --preset best --output big

DATA is a folder of pictures and volumes, or a manifest (CSV with the column path, and split where only some are to be
learned from: "train"). The same command again goes on where the last one stopped, on any number of GPUs. The output
folder gets model.safetensors with its card, for: whatmatters finetune --model DIR/model.safetensors

Exit codes: 0 done, 1 the training failed, 2 usage error or images that cannot be used. Not for clinical use.
"""


def add_parser(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "pretrain",
        help="learn an encoder from images without labels",
        description="Learn an encoder from images without labels, by masked image modeling (SparK, MAE, SimMIM) or "
        "SimCLR; what is hidden may follow what matters.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,  # only what was typed replaces a value of the settings file
        allow_abbrev=False,
    )
    parser.add_argument("--data", type=Path, metavar="DIR|MANIFEST", help="folder of images, or a manifest")
    parser.add_argument("--output", type=Path, metavar="DIR", help="folder for the model, its checkpoint and its log")
    parser.add_argument(
        "--method", choices=("spark", "mae", "simmim", "simclr"), help="default: spark in 2D, mae in 3D"
    )
    parser.add_argument("--dims", type=int, choices=(2, 3), help="2: pictures and slices; 3: volumes (default)")
    parser.add_argument(
        "--preset",
        choices=("fast", "paper", "best"),
        help="settings to start from (without --config: fast)",
    )
    parser.add_argument(
        "--masking",
        choices=("random", "block", "grid", "relevance"),
        help="default: random, or relevance with --prompt",
    )
    parser.add_argument("--prompt", dest="prompts", action="append", metavar="TEXT", help="what matters; repeatable")
    parser.add_argument(
        "--region", choices=("prompts", "labels"), help="where what matters comes from (default: prompts)"
    )
    parser.add_argument("--localizer", metavar="NAME", help="who finds the prompts (default: builtin)")
    parser.add_argument("--expand-mm", type=float, metavar="MM", help="margin around the box of the region")
    parser.add_argument("--inside", type=float, metavar="R", help="hidden share of the relevant tokens (default: 0.6)")
    parser.add_argument("--outside", type=float, metavar="R", help="hidden share of all others (default: 0.2)")
    parser.add_argument("--ratio", type=float, metavar="R", help="hidden share of all tokens, where there is no region")
    parser.add_argument("--equal-budget", action="store_true", help="hide the share --ratio of every image")
    parser.add_argument("--cache", type=Path, metavar="DIR", help="folder of the relevance cache (default: yours)")
    parser.add_argument("--epochs", type=float, metavar="N", help="passes over the images, instead of steps")
    parser.add_argument("--steps", type=int, metavar="N", help="optimizer steps")
    parser.add_argument("--minutes", type=float, metavar="M", help="budget; as many steps as fit")
    parser.add_argument("--batch-size", type=int, metavar="N", help="images per step and process")
    parser.add_argument("--seed", type=int, metavar="N", help="of every random choice")
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
        given: What was typed.

    Returns:
        Exit code.

    Raises:
        InputError: A usage error, or images or settings that cannot be used.
        JobError: The training failed.
    """
    style = OutputStyle.taken_from(given)
    if given.pop("print_schema", False):
        from MaskWhatMattersLib.pretraining.config import PretrainConfig

        return print_schema(PretrainConfig)
    spec = read_spec(given)
    return run_training(
        spec,
        spec.output,
        style,
        command="whatmatters pretrain",
        inputs=[spec.data] if spec.data is not None and spec.data.is_dir() else [],
        scores=(),
        report=_report,
        summary=_summary,
    )


def read_spec(given: dict[str, Any]) -> PretrainSpec:
    """The job that was typed.

    Raises:
        InputError: Something is missing or wrong; all of it, as far as it can be told before any work.
    """
    from MaskWhatMattersLib.config_files import merged, read_toml
    from MaskWhatMattersLib.jobs.pretrain_job import PretrainSpec, pretrain_settings

    if missing := [f"--{name} is missing" for name in ("data", "output") if name not in given]:
        raise InputError(f"{'; '.join(missing)}. See whatmatters pretrain --help.")
    values = dict(given)
    config_file = values.pop("config", None)
    config = read_toml(config_file) if config_file is not None else {}
    typed: dict[str, Any] = {name: values.pop(name) for name in _PLAIN if name in values}
    for table, fields in (("masking", _MASKING), ("region", _REGION)):
        chosen = {field: values.pop(name) for name, field in fields.items() if name in values}
        if chosen:
            typed[table] = chosen
    if "region" in typed:  # whoever says what matters wants masks that follow it, whatever the file says
        typed["masking"] = {"kind": "relevance"} | typed.get("masking", {})
    if "prompts" in typed.get("region", {}):
        typed["region"] = {"source": "prompts"} | typed["region"]
    if config_file is None:
        values.setdefault("preset", "fast")
    spec = PretrainSpec(config=merged(config, typed), **values)
    pretrain_settings(spec)
    return spec


def _report(result: RunResult) -> dict[str, Any]:
    return {
        "model": str(result.path),
        "name": result.name,
        "steps": result.steps,
        "metrics": result.metrics,
        "notes": list(result.notes),
    }


def _summary(result: RunResult) -> str:
    loss = f", loss {result.metrics['loss']:.4f}" if "loss" in result.metrics else ""
    speed = f", {result.metrics['samples_per_s']:.3g} images/s" if "samples_per_s" in result.metrics else ""
    return (
        f"{result.path}: {result.steps} steps{loss}{speed}. Not for clinical use.\n"
        f"Use it: whatmatters finetune --task segmentation --data DIR --model {result.path} --output DIR"
    )
