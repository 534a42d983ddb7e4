"""Numbers of the losses."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from MaskWhatMattersLib.corn.loss_config import CornLossConfig


def test_what_is_left_open_takes_the_value_of_the_mode():
    assert CornLossConfig.for_mode("code").embedding == 32
    assert CornLossConfig.for_mode("code").correlation_weight == 0.05
    assert CornLossConfig.for_mode("paper").correlation_weight == 1
    assert CornLossConfig.for_mode("mean_teacher").cross_weight == 0.1


def test_what_is_given_goes_before_the_mode():
    given = CornLossConfig(embedding=8, correlation_weight=0)
    assert given.numbers("code").embedding == 8
    assert given.numbers("code").correlation_weight == 0
    assert given.numbers("code").supervised_weight == 0.5


def test_a_stored_config_still_takes_the_value_of_the_mode():
    stored = CornLossConfig.model_validate_json(CornLossConfig(embedding=8).model_dump_json())
    assert stored.numbers("code") == CornLossConfig(embedding=8).numbers("code")


@pytest.mark.parametrize("given", [{"anchor_rows": 3}, {"minimum_voxels": 15}])
def test_groups_too_small_for_a_covariance_are_refused(given):
    with pytest.raises(ValidationError, match="found"):
        CornLossConfig(**given)
