"""How well segmentation by example finds structures, beside what it has to beat.

python Testing/benchmarks/mass_accuracy.py [--preset synthetic|smoke|cpu|full] [--model FILE|NAME] [--set NAME ...]
    [--tune] [--device cpu|cuda] [--json FILE]

Dice per structure, a mean over targets, none of which is of a patient that an example is taken from:

copy          the label map of one example, laid where it lies in the world or middle on middle, whichever is better
affine        the same, moved by affine registration (mutual information)
demons        affine, then demons (preset full)
N shot        in-context segmentation with N examples, default settings but for the quality estimate
tuned         tokens tuned on five examples (--tune), then applied to the targets
held out      of the same tuning, on its own held-out example: in-context before, tuned after, and `U-Net`, a plain
              network that learned the same cases for as long

Presets: smoke takes one target per set of the kit and one example (minutes on a processor), cpu three targets, full
all of them. They need WHATMATTERS_DATA. synthetic needs nothing: a small network learns from made-up bodies without
labels first (--steps), unless --model is given, and then meets bodies it has not seen.

`skipping_dice_delta`: mean Dice of one shot with windows skipped that look empty, minus that with every window.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parents[1] / "MaskWhatMatters")]

from _mass_sets import KIT, CaseSet, kit_set, synthetic_set  # noqa: E402

from MaskWhatMattersLib.mass.baselines.copy import copy_label_map  # noqa: E402
from MaskWhatMattersLib.mass.baselines.registration import copy_by_registration  # noqa: E402
from MaskWhatMattersLib.mass.examples import example_from_label_map  # noqa: E402
from MaskWhatMattersLib.mass.segment import InContextSegmenter  # noqa: E402
from MaskWhatMattersLib.mass.settings import SegmentSettings  # noqa: E402
from MaskWhatMattersLib.progress import PrintedProgress, SilentProgress  # noqa: E402

Dice = NDArray[np.float64]
TUNE_CASES = 5


@dataclass(frozen=True)
class Preset:
    """How much is measured: targets per set (None: all), examples, and whether demons are run."""

    targets: int | None
    shots: tuple[int, ...]
    demons: bool = False


PRESETS = {
    "synthetic": Preset(8, (1, 3)),
    "smoke": Preset(1, (1,)),
    "cpu": Preset(3, (1, 3)),
    "full": Preset(None, (1, 3, 5, 10), demons=True),
}


class Bench:
    """One set: every method on every target.

    Args:
        cases: The set.
        segmenter: The model.
        preset: How much.
    """

    def __init__(self, cases: CaseSet, segmenter: InContextSegmenter, preset: Preset) -> None:
        self.cases, self.segmenter, self.preset = cases, segmenter, preset

    def baselines(self) -> dict[str, Dice]:
        """What needs no network, from the first example."""
        image, labels = self.cases.references[0].load()
        ways = {
            "copy": lambda target: copy_label_map(labels, target),
            "centred": lambda target: copy_label_map(labels, target, centred=True),
            "affine": lambda target: copy_by_registration(image, labels, target),
        }
        if self.preset.demons:
            ways["demons"] = lambda target: copy_by_registration(image, labels, target, deformable=True)
        found = {name: self._on_targets(way) for name, way in ways.items()}
        centred = found.pop("centred")
        if np.nanmean(centred) > np.nanmean(found["copy"]):
            found["copy"] = centred
        return found

    def in_context(self) -> dict[str, Dice]:
        """Each number of examples, and one example with every window looked at."""
        found = {}
        for shots in self.preset.shots:
            task = self.segmenter.encode([self._example(number) for number in range(shots)])
            found[f"{shots} shot"] = self._on_targets(lambda target, task=task: self._segmented(target, task))
            if shots == 1:
                found["every window"] = self._on_targets(
                    lambda target, task=task: self._segmented(target, task, skip_empty=False)
                )
        return found

    def tuned(self, folder: Path, minutes: float) -> dict[str, Dice]:
        """Tokens tuned on a few examples; and, on the held-out one of them, before, after and a plain network."""
        from MaskWhatMattersLib.jobs.mass_tune_job import MassTuneSpec, run

        spec = MassTuneSpec(
            model=str(self.segmenter.model_file), mode="tokens", minutes=minutes, baseline=True, output=folder,
            device=self.segmenter.device.type,
        )  # fmt: skip
        result = run(spec, SilentProgress(), *(self._example(number) for number in range(TUNE_CASES)))
        return {
            "tuned": self._on_targets(lambda target: self._segmented(target, result.task)),
            "held out, 4 shot": np.array([[label.in_context for label in result.labels]]),
            "held out, tuned": np.array([[label.tuned for label in result.labels]]),
            "held out, U-Net": np.array([[label.baseline for label in result.labels]]),
        }

    def _on_targets(self, way) -> Dice:
        """Dice of a method, [targets, structures]."""
        rows = []
        for case in self.cases.targets:
            image, truth = case.load()
            rows.append(self.cases.dice(way(image), truth))
        return np.array(rows)

    def _segmented(self, target, task, **changes):
        return self.segmenter.segment(target, task, SegmentSettings(quality=False, **changes)).label_map

    def _example(self, number: int):
        image, labels = self.cases.references[number].load()
        there = {value: name for value, name in self.cases.structures.items() if (labels.array == value).any()}
        kept = labels.with_array(np.where(np.isin(labels.array, list(there)), labels.array, 0))
        return example_from_label_map(image, kept, there)


def report(console: Console, cases: CaseSet, found: dict[str, Dice]) -> dict[str, float]:
    """Print the table of a set; returns its figures."""
    table = Table("structure", *found, title=f"{cases.name}, Dice, {len(cases.targets)} targets")
    means = {method: np.nanmean(dice, axis=0) for method, dice in found.items()}
    for place, structure in enumerate(cases.structures.values()):
        table.add_row(structure, *(f"{mean[place]:.3f}" for mean in means.values()))
    table.add_row("mean", *(f"{np.nanmean(mean):.3f}" for mean in means.values()), style="bold")
    console.print(table)
    named = {
        method.replace(",", "").replace(" ", "_").replace("-", "_").lower(): mean for method, mean in means.items()
    }
    figures = {f"{cases.name}_{method}_dice": float(np.nanmean(mean)) for method, mean in named.items()}
    best = max(figures[f"{cases.name}_{baseline}_dice"] for baseline in ("copy", "affine"))
    figures[f"{cases.name}_margin"] = figures[f"{cases.name}_1_shot_dice"] - best
    return figures


def learned_model(folder: Path, steps: int, device: str) -> Path:
    """A small network that has learned from made-up bodies without labels."""
    from mass_learning import phantom_config, pretrained_on_phantoms

    started = time.perf_counter()
    path = pretrained_on_phantoms(folder, phantom_config(steps), 24, PrintedProgress(), device)
    print(f"Pretraining: {steps} steps, {time.perf_counter() - started:.0f} s", flush=True)
    return path


def main() -> None:
    """Print and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=PRESETS, default="synthetic")
    parser.add_argument("--model", help="name or file (default: the bundled one; synthetic: one made now)")
    parser.add_argument("--set", nargs="+", choices=KIT, default=list(KIT), help="of the kit")
    parser.add_argument("--tune", action="store_true", help="tune on five examples, too")
    parser.add_argument("--minutes", type=float, default=5.0, help="of a tuning, its plain network included")
    parser.add_argument("--steps", type=int, default=600, help="of the pretraining of synthetic")
    parser.add_argument("--seed", type=int, default=0, help="of the choice of examples")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("WHATMATTERS_DATA", "")), help="the kit")
    parser.add_argument("--json", type=Path, help="write the figures here")
    arguments = parser.parse_args()
    preset, console = PRESETS[arguments.preset], Console(width=140)
    figures: dict[str, float] = {}
    deltas = []
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        if arguments.preset == "synthetic":
            from mass_learning import FIRST_REFERENCE, FIRST_TARGET

            model = arguments.model or str(learned_model(Path(folder), arguments.steps, arguments.device))
            sets = [synthetic_set(preset.targets or 8, FIRST_REFERENCE, FIRST_TARGET)]
        elif not (arguments.data / "MANIFEST.csv").is_file():
            parser.exit(2, "Set WHATMATTERS_DATA to the folder of labelled scans, or take --preset synthetic.\n")
        else:
            model = arguments.model
            sets = [kit_set(arguments.data, name, preset.targets, arguments.seed) for name in arguments.set]
        segmenter = InContextSegmenter.load(model, arguments.device)
        console.print(f"{segmenter.name} on {arguments.device}, {torch.get_num_threads()} threads")
        for cases in sets:
            bench = Bench(cases, segmenter, preset)
            found = bench.baselines() | bench.in_context()
            if arguments.tune:
                found |= bench.tuned(Path(folder) / cases.name, arguments.minutes)
            deltas.append(np.nanmean(found["1 shot"]) - np.nanmean(found.pop("every window")))
            figures |= report(console, cases, found)
    figures |= {"skipping_dice_delta": float(np.mean(deltas)), "seconds": time.perf_counter() - started}
    figures = {name: round(value, 4) for name, value in figures.items()}
    for name, value in figures.items():
        console.print(f"{name:48} {value:9.4f}")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
