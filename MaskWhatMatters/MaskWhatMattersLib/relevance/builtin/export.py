"""Turn a training run into a model file: averaged weights, calibrated on val, with a card that says what it can do.

`python -m MaskWhatMattersLib.relevance.builtin.export --run DIR --data DIR --name builtin --version 0.1.0 --output DIR`
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch

from MaskWhatMattersLib.datasets.manifest import read_manifest
from MaskWhatMattersLib.models import Metric, ModelCard, TrainingData, save_model
from MaskWhatMattersLib.relevance.builtin.evaluate import Record, evaluate
from MaskWhatMattersLib.relevance.builtin.localizer import ARCHITECTURE, BuiltinCard, BuiltinLocalizer
from MaskWhatMattersLib.relevance.builtin.sources import BY_NAME
from MaskWhatMattersLib.relevance.builtin.train import BuiltinTrainingConfig
from MaskWhatMattersLib.training.checkpoints import CHECKPOINT

MIN_VOLUME_SETS = 3
"""A concept learned from pictures is offered on volumes if so many sets of volumes showed where it is not."""
MIN_DICE = 0.4
"""A concept below this on val is not offered."""
PAIRS = {"lungs": ("left lung", "right lung")}


def export(run: Path, data: Path, name: str, version: str, output: Path) -> ModelCard:
    """Calibrate and write `name`.safetensors and its card into the output folder."""
    stored = torch.load(run / CHECKPOINT, weights_only=True, map_location="cpu")
    config = BuiltinTrainingConfig.model_validate(stored["config"])
    rows = read_manifest(data)
    used = {row.dataset for row in rows if row.dataset in BY_NAME}
    used = {dataset for dataset in used if BY_NAME[dataset].permissive or not config.permissive_only}
    everything = BuiltinCard(trained={concept: ("CT", "MR", "XR") for concept in config.network().concepts})
    card = ModelCard(
        name=name,
        version=version,
        description=f"Concept-conditioned U-Net on slices in context, {stored['step']} steps. Not for clinical use.",
        architecture=ARCHITECTURE,
        config=json.loads(config.network().model_dump_json()),
        preprocessing=everything.model_dump(mode="json"),
        training_data=tuple(
            TrainingData(
                name=dataset,
                licence=BY_NAME[dataset].licence,
                url=BY_NAME[dataset].url,
                research_only=not BY_NAME[dataset].permissive,
                cases=sum(row.dataset == dataset and row.split == "train" for row in rows),
            )
            for dataset in sorted(used)
        ),
        licence="Apache-2.0; its training data have the licences listed"
        if config.permissive_only
        else "Research use only",
        research_only=not config.permissive_only,
    )
    weights = stored["averaged"]
    with tempfile.TemporaryDirectory() as folder:
        save_model(weights, card, Path(folder) / f"{name}.safetensors")
        localizer = BuiltinLocalizer(model=str(Path(folder) / f"{name}.safetensors"))
        records = list(evaluate(localizer, data, "val", permissive_only=config.permissive_only))
    calibrated = calibrate(records)
    metrics = [
        Metric(
            name=f"Dice, {concept}",
            value=round(float(np.mean(values)), 4),
            protocol=f"{dataset}, val, mean over {len(values)} cases, relevance >= 0.5, 0 where called absent",
        )
        for (dataset, concept), values in sorted(_dice_by_set(records, calibrated).items())
    ]
    card = card.model_copy(update={"preprocessing": calibrated.model_dump(mode="json"), "metrics": tuple(metrics)})
    return save_model(weights, card, output / f"{name}.safetensors")


def calibrate(records: list[Record]) -> BuiltinCard:
    """What the network may be asked for, where presence begins, and which structures are of one piece, by val."""
    by_concept: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        for part in PAIRS.get(record.concept, (record.concept,)):
            by_concept[part].append(record)
    trained: dict[str, tuple[str, ...]] = {}
    thresholds: dict[str, float] = {}
    single: list[str] = []
    pictures_only: list[str] = []
    for concept, found in sorted(by_concept.items()):
        present = [record for record in found if record.kind == "present"]
        modalities = sorted({record.modality for record in present})
        good = tuple(
            modality
            for modality in modalities
            if np.mean([record.dice for record in present if record.modality == modality]) >= MIN_DICE
        )
        if not good:
            continue
        trained[concept] = good
        in_range = [record for record in found if record.modality in good]
        thresholds[concept] = _best_threshold(in_range)
        if all(BY_NAME[record.dataset].is_pictures for record in present):
            without = {record.dataset for record in found if not BY_NAME[record.dataset].is_pictures}
            if len(without) < MIN_VOLUME_SETS:
                pictures_only.append(concept)
        gains = [(record.dice_single or 0) - (record.dice or 0) for record in present]
        if np.mean(gains) > 0:
            single.append(concept)
    return BuiltinCard(
        trained=trained,
        presence_threshold=thresholds,
        single=tuple(single),
        pictures_only=tuple(pictures_only),
    )


def _best_threshold(records: list[Record]) -> float:
    """The middle of the range of thresholds with the best mean of sensitivity and specificity."""
    positive = np.array([record.evidence for record in records if record.kind == "present"])
    negative = np.array([record.evidence for record in records if record.kind != "present"])
    if len(negative) == 0:
        return 0.5
    candidates = np.linspace(0.02, 0.98, 97)
    scores = np.array([(positive >= level).mean() + (negative < level).mean() for level in candidates])
    best = candidates[scores >= scores.max() - 1e-9]
    return round(float(np.median(best)), 2)


def _dice_by_set(records: list[Record], card: BuiltinCard) -> dict[tuple[str, str], list[float]]:
    groups: dict[tuple[str, str], list[float]] = defaultdict(list)
    for record in records:
        parts = PAIRS.get(record.concept, (record.concept,))
        if record.kind == "present" and all(record.modality in card.trained.get(part, ()) for part in parts):
            value = record.dice_single if parts[0] in card.single else record.dice
            is_found = record.evidence >= card.presence_threshold[parts[0]]
            groups[record.dataset, record.concept].append((value or 0.0) if is_found else 0.0)
    return groups


def main() -> None:
    """Command line of the export."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="output folder of the training")
    parser.add_argument("--data", type=Path, required=True, help="folder with MANIFEST.csv")
    parser.add_argument("--name", required=True, help="model name, also the file name")
    parser.add_argument("--version", required=True)
    parser.add_argument("--output", type=Path, required=True, help="folder for the model file and its card")
    arguments = parser.parse_args()
    card = export(arguments.run, arguments.data, arguments.name, arguments.version, arguments.output)
    for metric in card.metrics:
        print(f"{metric.value:.3f}  {metric.name}  ({metric.protocol})")


if __name__ == "__main__":
    main()
