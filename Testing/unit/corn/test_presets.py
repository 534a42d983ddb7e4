"""Settings that are not the published protocol."""

from __future__ import annotations

import tomllib

import pytest

from MaskWhatMattersLib.config_files import merged
from MaskWhatMattersLib.corn.config import CornTrainingConfig
from MaskWhatMattersLib.corn.network import CornNetworkConfig
from MaskWhatMattersLib.corn.presets import OTHER_SCANNERS, SMALL, adaptation
from MaskWhatMattersLib.datasets.device_scans import PatchAugmentConfig
from static_checks import REPOSITORY

CONFIGS = REPOSITORY / "configs" / "corn"


def read(name: str) -> CornTrainingConfig:
    return CornTrainingConfig.model_validate(tomllib.loads((CONFIGS / name).read_text(encoding="utf-8")))


def test_the_small_preset_is_the_committed_one():
    assert CornTrainingConfig.model_validate(SMALL) == read("cpu.toml")


def test_the_shipped_model_was_prepared_for_other_scanners():
    assert read("left-atrium.toml").augment == PatchAugmentConfig(**OTHER_SCANNERS)


@pytest.mark.parametrize(("spacing_mm", "depth", "patch"), [(0.625, 5, (80, 112, 112)), (1.25, 4, (40, 56, 56))])
def test_an_adaptation_sees_patches_of_the_published_size_in_mm(spacing_mm, depth, patch):
    recipe = adaptation(spacing_mm, CornNetworkConfig(depth=depth).divisor)
    assert recipe["patch_size"] == patch
    own = {"network": {"depth": depth}, "preprocessing": {"spacing_mm": spacing_mm}}
    config = CornTrainingConfig.model_validate(merged(recipe, own))
    assert (config.decay, config.course, config.augment.flips) == (0.99, "poly", False)


def test_a_coarse_model_still_gets_a_patch():
    assert adaptation(40.0, 16)["patch_size"] == (16, 16, 16)
