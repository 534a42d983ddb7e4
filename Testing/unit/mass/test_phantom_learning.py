"""What the whole chain is good for: learn from made-up bodies without labels, then segment new ones by one example."""

import os
from pathlib import Path

import numpy as np
import pytest

from MaskWhatMattersLib.mass.baselines.copy import copy_label_map
from MaskWhatMattersLib.mass.baselines.registration import copy_by_registration
from mass_learning import (
    FIRST_REFERENCE,
    FIRST_TARGET,
    learning_subject,
    phantom_config,
    phantom_dice,
    pretrained_on_phantoms,
)
from mass_phantoms import NAMES, dice_per_label

STEPS = os.environ.get("WHATMATTERS_LEARNING_STEPS")


def test_a_pretraining_of_two_steps_gives_a_model_that_segments_by_example(tmp_path: Path) -> None:
    config = phantom_config(
        2, batch_size=1, labels=2, network={"width": 2, "window": 32, "positions": "none", "blocks": 1}
    )
    found = phantom_dice(pretrained_on_phantoms(tmp_path, config, 1), references=1, targets=1)
    assert found.shape == (1, 1, len(NAMES))
    assert np.isfinite(found).all()


@pytest.mark.skipif(
    STEPS is None, reason="takes minutes; set WHATMATTERS_LEARNING_STEPS to the steps of the pretraining, such as 3000"
)
def test_after_a_short_pretraining_one_example_beats_copies_by_ten_points(tmp_path: Path) -> None:
    model = pretrained_on_phantoms(tmp_path, phantom_config(int(STEPS or 0)), 24)
    in_context = phantom_dice(model, references=2, targets=6).mean()
    copied, moved = [], []
    for reference in range(FIRST_REFERENCE, FIRST_REFERENCE + 2):
        image, labels = learning_subject(reference)
        for seed in range(FIRST_TARGET, FIRST_TARGET + 6):
            target, truth = learning_subject(seed)
            copied.append(dice_per_label(copy_label_map(labels, target).array, truth.array))
            moved.append(dice_per_label(copy_by_registration(image, labels, target).array, truth.array))
    assert in_context >= np.mean(copied) + 0.1
    assert in_context >= np.mean(moved) + 0.1
