"""`whatmatters mass tune`: fit a task to a few labelled scans; stop and go on at any time."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from MaskWhatMattersLib.cli.style import add_output_style
from MaskWhatMattersLib.cli.training_command import OutputStyle, add_resume, print_schema, run_training
from MaskWhatMattersLib.errors import InputError

if TYPE_CHECKING:
    from MaskWhatMattersLib.jobs.mass_tune_job import MassTuneSpec
    from MaskWhatMattersLib.mass.tune_result import TunedTask

_EXAMPLE = """examples:
  whatmatters mass tune --case a.nii.gz a-labels.nii.gz --case b.nii.gz b-labels.nii.gz \\
      --case c.nii.gz c-labels.nii.gz --output abdomen
  whatmatters mass tune --case images labels --mode full --minutes 60 --output tumours
  whatmatters mass segment --task abdomen/abdomen.task.safetensors scans --output results

A case is a scan and what is marked on it, as the references of mass segment; two folders are paired by name. What
learns (--mode):
  tokens   what the network remembers of the examples: minutes; the model stays as it is (default)
  head     its classifier, too
  full     everything but the encoder of examples: for five cases or more, and for tumours and other findings
From three cases on, a fifth of them is held out: it stops the tuning and measures it. From five on, a plain U-Net
learns the same cases for as long, and its Dice is shown beside: where it is better, use that (whatmatters finetune).

The same command again goes on where the last one stopped. The output folder gets NAME.task.safetensors for mass
segment --task, log.csv, and with head and full also model.safetensors, which that task needs.

Exit codes: 0 done, 1 the tuning failed, 2 usage error or cases that cannot be used. Not for clinical use.
"""


def add_parser(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "tune",
        help="fit a task to a few labelled scans",
        description="Fit a task to 3 to 10 labelled scans, and compare it with a plain network.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,  # only what was typed replaces a value of the settings file
        allow_abbrev=False,
    )
    parser.add_argument(
        "--case",
        dest="cases",
        action="append",
        nargs=2,
        type=Path,
        metavar=("IMAGE", "LABELMAP"),
        help="scan with its label map or .seg.nrrd, or two folders; repeatable",
    )
    parser.add_argument("--output", type=Path, metavar="DIR", help="folder for the task, its checkpoint and its log")
    parser.add_argument("--mode", choices=("tokens", "head", "full"), help="what learns (default: tokens)")
    parser.add_argument("--minutes", type=float, metavar="M", help="budget, the U-Net included; as many steps as fit")
    parser.add_argument("--steps", type=int, metavar="N", help="optimizer steps (default: 150, 300 or 5000 by mode)")
    parser.add_argument(
        "--label",
        dest="names",
        action="append",
        metavar="VALUE=NAME",
        help="what a value in the label maps means; repeatable",
    )
    parser.add_argument("--labels", metavar="LIST", help="values or names to learn, with commas between (default: all)")
    baseline = parser.add_mutually_exclusive_group()
    baseline.add_argument("--baseline", action="store_true", help="train the U-Net with fewer than five cases, too")
    baseline.add_argument("--no-baseline", action="store_false", dest="baseline", help="never train the U-Net")
    parser.add_argument("--model", metavar="NAME", help="model to start from, name or file (default: mass-tiny)")
    parser.add_argument("--spacing", type=float, metavar="MM", help="voxels that the network sees (default: its own)")
    parser.add_argument("--device", metavar="NAME", help="auto (default), cpu, cuda, cuda:1")
    parser.add_argument("--config", type=Path, metavar="FILE", help="TOML file with any setting of the tuning")
    parser.add_argument(
        "--print-schema", action="store_true", help="print all settings of the TOML file, as JSON schema"
    )
    add_resume(parser)
    add_output_style(parser)
    parser.set_defaults(run=run)


def run(given: dict[str, Any]) -> int:
    """Run the subcommand.

    Args:
        given: What was typed, by the names of `MassTuneSpec`, and config, print_schema, json, quiet, verbose.

    Returns:
        Exit code.

    Raises:
        InputError: A usage error, or cases, settings or a model that cannot be used.
        JobError: The tuning failed.
    """
    style = OutputStyle.taken_from(given)
    if given.pop("print_schema", False):
        from MaskWhatMattersLib.mass.tune_config import MassTuneConfig

        return print_schema(MassTuneConfig)
    spec = read_spec(given)
    return run_training(
        spec,
        spec.output,
        style,
        command="whatmatters mass tune",
        inputs=[],  # looked at in `read_spec`
        scores=("dice", "baseline_dice"),
        report=_report,
        summary=_summary,
    )


def read_spec(given: dict[str, Any]) -> MassTuneSpec:
    """The job that was typed.

    Raises:
        InputError: Something is missing or wrong; all of it, as far as it can be told before any work.
    """
    from MaskWhatMattersLib.cli.inputs import check_apart
    from MaskWhatMattersLib.cli.mass_task import chosen_labels, names_of, reference_files
    from MaskWhatMattersLib.config_files import merged, read_toml
    from MaskWhatMattersLib.jobs.mass_tune_job import MassTuneSpec, tune_settings
    from MaskWhatMattersLib.mass.tune_cases import CaseFiles

    wanted = {"cases": "case", "output": "output"}
    if missing := [f"--{option} is missing" for name, option in wanted.items() if name not in given]:
        raise InputError(f"{'; '.join(missing)}. See whatmatters mass tune --help.")
    values = dict(given)
    pairs = reference_files(values["cases"], "--case")
    check_apart(values["output"], [path for pair in values["cases"] for path in pair])
    values["cases"] = [CaseFiles(image=image, label_map=label_map) for image, label_map in pairs]
    values["names"] = names_of(values.get("names", ()))
    values["labels"] = chosen_labels(values.get("labels"))
    config = values.pop("config", None)
    typed = {"spacing_mm": values.pop("spacing")} if "spacing" in values else {}
    values["config"] = merged(read_toml(config) if config is not None else {}, typed)
    spec = MassTuneSpec(**values)
    tune_settings(spec)
    return spec


def _report(tuned: TunedTask) -> dict[str, Any]:
    return {
        "task": str(tuned.path),
        "model": str(tuned.model_path) if tuned.model_path is not None else tuned.task.model,
        "steps": tuned.steps,
        "mode": tuned.task.tuned,
        "held_out": [place + 1 for place in tuned.held_out],
        "labels": [
            {
                "value": each.label.value,
                "name": each.label.name,
                "dice_in_context": _number(each.in_context),
                "dice_tuned": _number(each.tuned),
                "dice_baseline": _number(each.baseline),
            }
            for each in tuned.labels
        ],
        "metrics": {name: _number(value) for name, value in tuned.metrics.items()},
        "notes": list(tuned.notes),
    }


def _number(value: float) -> float | None:
    """JSON has no NaN."""
    return None if math.isnan(value) else round(value, 4)


def _summary(tuned: TunedTask) -> str:
    from MaskWhatMattersLib.mass.model_choice import DEFAULT_MODEL

    lines = [f"{tuned.path}: {tuned.steps} steps. Not for clinical use."]
    if tuned.held_out:
        width = max(len("label"), *(len(each.label.name) for each in tuned.labels))
        lines += ["Dice on held-out cases", f"{'label':<{width}}  examples alone  tuned  plain U-Net"]
        for each in tuned.labels:
            dice = f"{_cell(each.in_context):>14}  {_cell(each.tuned):>5}  {_cell(each.baseline):>11}"
            lines.append(f"{each.label.name:<{width}}  {dice}")
    lines += tuned.notes
    is_elsewhere = tuned.model_path is None and not tuned.task.model.startswith(f"{DEFAULT_MODEL} ")
    model = f" --model {tuned.task.model_file}" if is_elsewhere else ""
    lines.append(f"Use it: whatmatters mass segment SCAN --task {tuned.path}{model} --output DIR")
    return "\n".join(lines)


def _cell(dice: float) -> str:
    return "-" if math.isnan(dice) else f"{dice:.3f}"
