"""What a finetuning will need, told before any image is read."""

import pytest

from class_pictures import TINY
from finetuning_phantoms import small_config
from MaskWhatMattersLib.finetuning.config import FinetuneConfig
from MaskWhatMattersLib.finetuning.estimate import estimate, made_up_cases


@pytest.mark.parametrize("dims", [2, 3])
def test_a_step_of_a_segmentation_is_measured(dims):
    found = estimate(small_config(dims, batch_size=2, steps=50), classes=3, device="cpu")
    assert found.steps == 50
    assert 0 < found.step_s < 60
    assert found.peak_bytes > 0


def test_the_budget_limits_the_steps():
    config = FinetuneConfig.model_validate({"task": "classification", **TINY, "steps": 10**9, "minutes": 0.1})
    found = estimate(config, classes=2, device="cpu")
    assert found.steps == found.steps_within(0.1)


def test_made_up_images_have_every_class():
    segmentation = made_up_cases(small_config(3), classes=3)
    assert {tuple(sorted(set(case.label_map.array.ravel().tolist()))) for case in segmentation.cases} == {(0, 1, 2)}
    config = FinetuneConfig.model_validate({"task": "classification", **TINY})
    assert made_up_cases(config, classes=5).classes == tuple(f"class{number}" for number in range(5))
