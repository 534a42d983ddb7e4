"""Which settings of a masking and of a region are refused."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from MaskWhatMattersLib.masking.config import MaskingConfig, RegionConfig


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"ratio": 0}, "ratio"),
        ({"ratio": 1}, "ratio"),
        ({"inside": 1.1}, "inside"),
        ({"outside": -0.1}, "outside"),
        ({"kind": "relevance", "inside": 0, "outside": 0}, "nothing would be hidden"),
        ({"kind": "relevance", "inside": 1, "outside": 1}, "nothing would be seen"),
        ({"kind": "block", "shuffled": True}, "shuffled needs the kind relevance"),
        ({"ratios": 0.5}, "ratios"),
    ],
)
def test_ratios_that_mask_nothing_or_all_are_refused(settings, message):
    with pytest.raises(ValidationError, match=message):
        MaskingConfig(**settings)


def test_a_region_of_prompts_needs_a_prompt():
    with pytest.raises(ValidationError, match="there are none"):
        RegionConfig(source="prompts", prompts=("  ",))
