"""A short pretraining on made-up bodies without their labels, for a test and a benchmark of what it is good for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from MaskWhatMattersLib.datasets.image_cases import ImageCase, ImageCases
from MaskWhatMattersLib.mass.examples import example_from_label_map
from MaskWhatMattersLib.mass.pretrain import pretrain
from MaskWhatMattersLib.mass.pretrain_cache import prepare_scans
from MaskWhatMattersLib.mass.pretrain_config import MassPretrainConfig, ViewConfig
from MaskWhatMattersLib.mass.segment import InContextSegmenter
from MaskWhatMattersLib.mass.settings import SegmentSettings
from MaskWhatMattersLib.mass.trained_model import begin_run, export_model
from MaskWhatMattersLib.progress import Progress
from MaskWhatMattersLib.volumes import Volume
from mass_phantoms import NAMES, dice_per_label, organ_subject

FIRST_REFERENCE = 1000
FIRST_TARGET = 2000
"""Seeds of subjects that no pretraining sees: it takes those from 0 on."""


def phantom_config(steps: int, **changes: object) -> MassPretrainConfig:
    """Settings for bodies of 32^3 voxels of 4 mm and one processor core."""
    fields = {
        "network": {"width": 8, "window": 32, "positions": "factorized", "queries": 4, "blocks": 1},
        "preprocessing": {"spacing_mm": 4.0},
        "proposals": {
            **{"regions_ml": (4.0,), "tree_ml": 4.0, "least_ml": 3.0, "union_share": 0.0},
            **{"most_regions": 5, "most_nodes": 30},  # mostly what stands out
        },
        "crop": 32,
        "batch_size": 2,
        "labels": 4,
        "fewer": 0.0,
        "absent": 0.0,
        "whole_field": 0.1,
        "least_voxels": 8,
        "reference": ViewConfig(zoom=1.1, rotation_deg=10.0),
        "query": ViewConfig(moved=0.8, zoom=1.25, stretch=1.2, rotation_deg=20.0, shear=0.1),
        "steps": steps,
        "learning_rate": 2e-3,
        "averaging": 0.98,
        "precision": "fp32",
        "picture_every": 0,
        "save_every": 0,
        **changes,
    }
    return MassPretrainConfig(**fields)  # type: ignore[arg-type]


def learning_subject(seed: int) -> tuple[Volume, Volume]:
    """Image and label map; the air is black, so that no mask is proposed in its noise."""
    return organ_subject(seed, black_air=True)


def pretrained_on_phantoms(
    folder: Path, config: MassPretrainConfig, subjects: int, progress: Progress | None = None, device: str = "cpu"
) -> Path:
    """The model file of a pretraining on the first subjects, whose labels it does not see."""
    cases = ImageCases(
        tuple(ImageCase(f"subject{seed}", learning_subject(seed)[0], patient=f"{seed}") for seed in range(subjects))
    )
    scans = prepare_scans(cases.cases, config, progress, folder / "cache")
    begin_run(folder / "run", config, cases)
    pretrain(config, scans, folder / "run", progress, device)
    return export_model(folder / "run").path


def phantom_dice(model: Path, references: int, targets: int) -> NDArray[np.float64]:
    """Dice of in-context segmentation with one reference at a time, [references, targets, organs]."""
    segmenter = InContextSegmenter.load(model, "cpu", "fp32")
    settings = SegmentSettings(quality=False)
    found = np.zeros((references, targets, len(NAMES)))
    for row in range(references):
        task = segmenter.encode([example_from_label_map(*learning_subject(FIRST_REFERENCE + row), NAMES)])
        for column in range(targets):
            image, truth = learning_subject(FIRST_TARGET + column)
            found[row, column] = dice_per_label(segmenter.segment(image, task, settings).label_map.array, truth.array)
    return found
