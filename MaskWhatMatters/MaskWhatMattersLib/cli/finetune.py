"""`whatmatters finetune`: learn a task from labelled images, from any encoder or from scratch; stop and go on."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from MaskWhatMattersLib.cli.style import add_output_style
from MaskWhatMattersLib.cli.training_command import OutputStyle, add_resume, print_schema, run_training
from MaskWhatMattersLib.errors import InputError

if TYPE_CHECKING:
    from MaskWhatMattersLib.jobs.finetune_job import FinetuneSpec
    from MaskWhatMattersLib.training.run_result import RunResult

_REQUIRED = ("task", "data", "model", "output")
_FIELDS = ("label_fraction", "schedule", "layer_decay", "learning_rate", "batch_size", "seed")
_SCORES = ("val_auroc", "val_dice", "val_box_ap", "val_mask_ap", "val_accuracy")
_FROM_SCRATCH = "none"
_EXAMPLE = """examples:
  whatmatters finetune --task classification --data images --model encoder/model.safetensors --output classifier
  whatmatters finetune --task segmentation --data scans --model none --dims 3 --preset best --output from-scratch
  whatmatters finetune --task segmentation --data manifest.csv --model encoder/model.safetensors \\
      --label-fraction 0.25 --output few-labels
  whatmatters finetune --task detection --data images --model spark/model.safetensors --minutes 60 --output detector
  torchrun --nproc-per-node 4 -m MaskWhatMattersLib.cli finetune --task segmentation --data scans \\
      --model encoder/model.safetensors --preset best --output big

DATA for classification is a folder per class, or a manifest (CSV: path, label, and where known patient and split); for
segmentation and detection images with label maps of the same names (images/, labels/), a manifest with the column
label_path, or for detection COCO annotations. Splits are by patient. The validation split selects the weights; images
of the split "test" are looked at once, after the last step. The same command again goes on where the last one stopped,
on any number of GPUs.

Exit codes: 0 done, 1 the training failed, 2 usage error, images or model that cannot be used. Not for clinical use.
"""


def add_parser(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "finetune",
        help="learn to classify, detect or segment from labelled images",
        description="Learn to classify, detect or segment from labelled images, from a pretrained encoder or from "
        "scratch.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,  # only what was typed replaces a value of the settings file
        allow_abbrev=False,
    )
    parser.add_argument("--task", choices=("classification", "detection", "segmentation"), help="what is learned")
    parser.add_argument("--data", type=Path, metavar="DIR|MANIFEST", help="folder of labelled images, or a manifest")
    parser.add_argument("--model", metavar="FILE|none", help="model to start from, name or file; none: from scratch")
    parser.add_argument("--output", type=Path, metavar="DIR", help="folder for the model, its checkpoint and its log")
    parser.add_argument(
        "--dims", type=int, choices=(2, 3), help="2: pictures and slices; 3: volumes (default: those of the model)"
    )
    parser.add_argument("--preset", choices=("fast", "paper", "best"), help="settings to start from (default: fast)")
    parser.add_argument(
        "--validation", type=float, metavar="F", help="share of the patients for validation (default: 0.2)"
    )
    parser.add_argument(
        "--label-fraction", type=float, metavar="F", help="share of the training patients that is used (default: 1)"
    )
    parser.add_argument(
        "--schedule", choices=("warmup", "sawtooth", "frozen"), help="what learns when; frozen: the head alone"
    )
    parser.add_argument("--layer-decay", type=float, metavar="F", help="factor of the learning rate per layer")
    parser.add_argument("--learning-rate", type=float, metavar="R", help="of the head, after the warm-up")
    parser.add_argument("--batch-size", type=int, metavar="N", help="crops per step and process")
    parser.add_argument("--minutes", type=float, metavar="M", help="budget; as many steps as fit")
    parser.add_argument("--steps", type=int, metavar="N", help="optimizer steps")
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
        InputError: A usage error, or images, settings or a start model that cannot be used.
        JobError: The training failed.
    """
    style = OutputStyle.taken_from(given)
    if given.pop("print_schema", False):
        from MaskWhatMattersLib.finetuning.config import FinetuneConfig

        return print_schema(FinetuneConfig)
    spec = read_spec(given)
    return run_training(
        spec,
        spec.output,
        style,
        command="whatmatters finetune",
        inputs=[spec.data] if spec.data is not None and spec.data.is_dir() else [],
        scores=_SCORES,
        report=_report,
        summary=lambda result: _summary(result, spec.task),
    )


def read_spec(given: dict[str, Any]) -> FinetuneSpec:
    """The job that was typed.

    Raises:
        InputError: Something is missing or wrong; all of it, as far as it can be told before any work.
    """
    from MaskWhatMattersLib.config_files import merged, read_toml
    from MaskWhatMattersLib.jobs.finetune_job import FinetuneSpec

    values = dict(given)
    config_file = values.pop("config", None)
    config = read_toml(config_file) if config_file is not None else {}
    if "task" in config:
        values.setdefault("task", config["task"])
    if missing := [f"--{name} is missing" for name in _REQUIRED if name not in values]:
        scratch = " (--model none starts from scratch)" if "model" not in values else ""
        raise InputError(f"{'; '.join(missing)}{scratch}. See whatmatters finetune --help.")
    model = values.pop("model")
    typed = {name: values.pop(name) for name in _FIELDS if name in values}
    start_model = None if model == _FROM_SCRATCH else model
    return FinetuneSpec(start_model=start_model, config=merged(config, typed), **values)


def _report(result: RunResult) -> dict[str, Any]:
    return {
        "model": str(result.path),
        "name": result.name,
        "steps": result.steps,
        "metrics": {name: value if value == value else None for name, value in result.metrics.items()},
        "notes": list(result.notes),
    }


def _summary(result: RunResult, task: str) -> str:
    splits: dict[str, dict[str, float]] = {"validation": {}, "test": {}}
    for name, value in result.metrics.items():
        if name != "loss":
            splits["test" if name.startswith("test_") else "validation"][name.removeprefix("test_")] = value
    lines = [f"{result.path}: {result.steps} steps. Not for clinical use."]
    for split, scores in splits.items():
        if scores:
            lines.append(f"{split}: {', '.join(f'{name} {value:.4f}' for name, value in scores.items())}")
    lines += result.notes
    if task == "segmentation":
        use = "whatmatters relevance SCAN --localizer finetuned --model"
        lines.append(f"Use it: {use} {result.path} --prompt LABEL --output DIR")
    return "\n".join(lines)
