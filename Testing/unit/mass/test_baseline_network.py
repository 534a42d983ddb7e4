"""The plain U-Net beside a tuning."""

from __future__ import annotations

import pytest
import torch

from MaskWhatMattersLib.mass.baseline_network import baseline_network


@pytest.mark.parametrize(("window", "levels"), [(16, 3), (32, 4), (128, 5)])
def test_a_larger_window_is_seen_at_more_levels(window, levels):
    assert len(baseline_network(2, 2, window).encoder.widths) == levels


def test_every_voxel_gets_one_logit_per_label():
    with torch.no_grad():
        assert baseline_network(5, 2, 16)(torch.randn(2, 1, 16, 18, 16)).shape == (2, 5, 16, 18, 16)


def test_it_begins_by_marking_next_to_nothing():
    with torch.no_grad():
        probabilities = baseline_network(3, 2, 16)(torch.randn(1, 1, 16, 16, 16)).sigmoid()
    assert float(probabilities.mean()) < 0.05
