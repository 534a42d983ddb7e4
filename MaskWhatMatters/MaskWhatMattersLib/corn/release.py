"""Turn a training on the left atrium set into a bundled model: a card with what was measured on val.

`python -m MaskWhatMattersLib.corn.release --run DIR --data DIR --name left-atrium --version 0.1.0 --output DIR`
"""

from __future__ import annotations

import argparse
import math
import tempfile
from pathlib import Path

import numpy as np

from MaskWhatMattersLib.corn.cards import LABELS, left_atrium_data
from MaskWhatMattersLib.corn.network import ARCHITECTURE
from MaskWhatMattersLib.corn.predict import AtriumSegmentation, AtriumSegmenter
from MaskWhatMattersLib.corn.report import ReviewLimits
from MaskWhatMattersLib.corn.train import trained_network
from MaskWhatMattersLib.datasets.manifest import ManifestRow, read_manifest
from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.evaluation.cases import CaseScores, score_case
from MaskWhatMattersLib.models import Metric, ModelCard, save_model
from MaskWhatMattersLib.volumes import read_volume

_ROOM = 1.5
"""Doubt is called unusual beyond so many times the largest that val scans show; five of them do not show it all."""
_LEAST_DOUBT = 0.05
"""Scans on which both branches agree better than this say nothing about when to doubt."""


def release(run: Path, data: Path, name: str, version: str, output: Path, labelled: int, note: str = "") -> ModelCard:
    """Measure on val and write `name`.safetensors and its card into the output folder.

    Args:
        run: Folder of the training.
        data: Folder with MANIFEST.csv.
        name: Of the model and its file.
        version: Of the model.
        output: Where the files go.
        labelled: Scans whose labels were learned from, for the card.
        note: A sentence for the card, for example on what the training began with.

    Raises:
        InputError: No checkpoint, or no val scans to measure on.
    """
    network, config, steps = trained_network(run)
    rows = [row for row in read_manifest(data) if row.dataset == "left_atrium"]
    validation = [row for row in rows if row.split == "val"]
    if not validation:
        raise InputError(f"{data} has no val scans of left_atrium to measure on. Give the folder of the data kit.")
    card = ModelCard(
        name=name,
        version=version,
        description=(
            f"Left atrium in late-enhancement MR at {config.preprocessing.spacing_mm:g} mm; mode {config.mode}, "
            f"{labelled} labelled scans, {steps} steps. {note + ' ' if note else ''}Not for clinical use."
        ),
        architecture=ARCHITECTURE,
        config=config.network.model_dump(mode="json"),
        preprocessing=config.preprocessing.model_dump(mode="json"),
        labels=LABELS,
        training_data=(left_atrium_data(labelled),),
        licence="Research use only",
        research_only=True,
    )
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / f"{name}.safetensors"
        save_model(network.state_dict(), card, draft)
        segmenter = AtriumSegmenter.load(draft)
        answers = [segmenter.segment(read_volume(row.image), field_of_view="crop") for row in validation]
    measured = card.model_copy(
        update={
            "preprocessing": config.preprocessing.model_copy(update={"review": review_limits(answers)}).model_dump(
                mode="json"
            ),
            "metrics": _metrics(answers, validation),
        }
    )
    return save_model(network.state_dict(), measured, output / f"{name}.safetensors")


def review_limits(answers: list[AtriumSegmentation]) -> ReviewLimits:
    """Limits somewhat beyond what these results show; volumes keep theirs."""
    doubt = max(_LEAST_DOUBT, *(1 - answer.agreement for answer in answers))
    entropy = max(answer.boundary_entropy for answer in answers)
    if not math.isfinite(doubt + entropy):
        raise InputError("The network finds no atrium in some of the val scans. Train it for longer.")
    return ReviewLimits(
        min_agreement=round(max(0.0, 1 - _ROOM * doubt), 2),
        max_boundary_entropy=round(1 - (1 - entropy) / _ROOM, 2),
    )


def _metrics(answers: list[AtriumSegmentation], rows: list[ManifestRow]) -> tuple[Metric, ...]:
    """Means over the scans, as `whatmatters corn segment` makes the label maps."""
    protocol = (
        f"left_atrium val, mean over {len(rows)} cropped scans, label maps of `corn segment` (mean of both branches, "
        "one pass, largest piece, holes filled) on the scans' own voxels, final checkpoint"
    )
    scores: list[CaseScores] = []
    for answer, row in zip(answers, rows, strict=True):
        truth = read_volume(str(row.label_map))
        scores += score_case(answer.label_map, truth, case=answer.label_map.name, spacing="mm")
    units = {"dice": "", "hd95_mm": "mm", "assd_mm": "mm"}
    return tuple(
        Metric(
            name=f"{metric}, left atrium",
            value=round(float(np.mean([score.values[metric] for score in scores])), 4),
            protocol=protocol,
            unit=unit,
        )
        for metric, unit in units.items()
    )


def main() -> None:
    """Command line of the release."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="output folder of the training")
    parser.add_argument("--data", type=Path, required=True, help="folder with MANIFEST.csv")
    parser.add_argument("--name", default="left-atrium", help="model name, also the file name")
    parser.add_argument("--version", required=True)
    parser.add_argument("--labelled", type=int, default=75, help="scans whose labels were learned from")
    parser.add_argument("--output", type=Path, required=True, help="folder for the model file and its card")
    parser.add_argument("--note", default="", help="sentence for the card")
    given = parser.parse_args()
    card = release(given.run, given.data, given.name, given.version, given.output, given.labelled, given.note)
    for metric in card.metrics:
        print(f"{metric.value:.4f} {metric.unit}  {metric.name}  ({metric.protocol})")


if __name__ == "__main__":
    main()
