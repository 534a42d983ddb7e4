"""How well the shipped localizers find what a prompt names, on real labelled scans (folder WHATMATTERS_DATA).

    python Testing/benchmarks/relevance_quality.py [--localizer NAME ...] [--split val test] [--json FILE]

Dice is the mean over cases of a set, with the canonical prompt's concept, relevance >= 0.5, and 0 for a case called
absent. "same region" negatives are slabs of the same scans beyond the structure, and pictures without the finding.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from MaskWhatMattersLib.relevance.builtin.evaluate import Record, evaluate
from MaskWhatMattersLib.relevance.builtin.localizer import BuiltinLocalizer
from MaskWhatMattersLib.relevance.builtin.sources import BY_NAME


def is_found(record: Record, localizer: BuiltinLocalizer) -> bool:
    """The verdict that the localizer gives at this evidence."""
    parts = ("left lung",) if record.concept == "lungs" else (record.concept,)
    return record.evidence >= localizer.settings.presence_threshold.get(parts[0], 0.5)


def is_trained(record: Record, localizer: BuiltinLocalizer) -> bool:
    """Whether the card allows the question at all."""
    parts = ("left lung", "right lung") if record.concept == "lungs" else (record.concept,)
    on_volume = not BY_NAME[record.dataset].is_pictures
    return all(
        record.modality in localizer.settings.trained.get(part, ())
        and not (on_volume and part in localizer.settings.pictures_only)
        for part in parts
    )


def case_dice(record: Record, localizer: BuiltinLocalizer) -> float:
    """Dice of what the user would get."""
    if not is_found(record, localizer):
        return 0.0
    part = "left lung" if record.concept == "lungs" else record.concept
    value = record.dice_single if part in localizer.settings.single else record.dice
    return value or 0.0


def measure(name: str, data: Path, splits: list[str], console: Console) -> dict[str, float]:
    """Print the table of one localizer and return its figures."""
    localizer = BuiltinLocalizer(model=name, device="cpu")
    started = time.perf_counter()
    permissive = not localizer.card.research_only
    records = [record for split in splits for record in evaluate(localizer, data, split, permissive_only=permissive)]
    seconds = time.perf_counter() - started
    asked = [record for record in records if is_trained(record, localizer)]
    dice, sure = defaultdict(list), defaultdict(list)
    for record in asked:
        if record.kind == "present":
            dice[record.dataset, record.concept].append(case_dice(record, localizer))
        sure[record.kind].append(is_found(record, localizer) == (record.kind == "present"))
    table = Table("set", "concept", "n", "Dice", "min", title=f"{name} {localizer.card.version}, {' + '.join(splits)}")
    figures: dict[str, float] = {}
    for (dataset, concept), values in sorted(dice.items()):
        table.add_row(dataset, concept, str(len(values)), f"{np.mean(values):.3f}", f"{min(values):.3f}")
        figures[f"{name}_dice_{dataset}_{concept.replace(' ', '_')}"] = round(float(np.mean(values)), 4)
    console.print(table)
    for kind, right in sorted(sure.items()):
        console.print(f"{kind}: {np.mean(right):.3f} right of {len(right)}")
        figures[f"{name}_right_{kind.replace(': ', '_').replace(' ', '_')}"] = round(float(np.mean(right)), 4)
    negatives = len(sure["absent: same region"]) + len(sure["absent: elsewhere"])
    figures[f"{name}_same_region_share_of_negatives"] = len(sure["absent: same region"]) / max(1, negatives)
    figures[f"{name}_untrained_questions"] = len(records) - len(asked)
    console.print(f"{len(records) - len(asked)} questions not asked: the card does not offer them. {seconds:.0f} s.")
    return figures


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--localizer", nargs="+", default=["builtin", "builtin-research"])
    parser.add_argument("--split", nargs="+", default=["val", "test"])
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    data = Path(os.environ.get("WHATMATTERS_DATA", ""))
    if not (data / "MANIFEST.csv").is_file():
        parser.exit(2, "Set WHATMATTERS_DATA to the folder of labelled scans.\n")
    console = Console(width=120)
    figures: dict[str, float] = {}
    for name in arguments.localizer:
        figures |= measure(name, data, arguments.split, console)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
