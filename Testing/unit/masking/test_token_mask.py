"""The shares of a mask."""

from __future__ import annotations

import torch

from MaskWhatMattersLib.masking.token_mask import TokenMask

HIDDEN = torch.tensor([[[True, True], [False, False]], [[True, False], [False, False]]])
RELEVANT = torch.tensor([[[True, True], [True, False]], [[False, False], [False, False]]])


def test_the_ratio_counts_all_tokens_of_an_image():
    torch.testing.assert_close(TokenMask(HIDDEN).ratio(), torch.tensor([0.5, 0.25]))


def test_ratios_inside_and_outside_are_those_of_the_region():
    mask = TokenMask(HIDDEN, RELEVANT)
    torch.testing.assert_close(mask.ratio_inside(), torch.tensor([2 / 3, torch.nan]), equal_nan=True)
    torch.testing.assert_close(mask.ratio_outside(), torch.tensor([0.0, 0.25]))
    assert mask.has_region().tolist() == [True, False]


def test_a_region_that_is_everywhere_has_no_outside():
    assert TokenMask(HIDDEN, torch.ones_like(HIDDEN)).ratio_outside().isnan().all()


def test_without_regions_all_tokens_are_outside():
    mask = TokenMask(HIDDEN)
    assert mask.ratio_inside().isnan().all()
    torch.testing.assert_close(mask.ratio_outside(), mask.ratio())
    assert not mask.has_region().any()
