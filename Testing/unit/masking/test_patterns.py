"""Masks that have a shape."""

from __future__ import annotations

import pytest
import torch

from MaskWhatMattersLib.masking.config import MaskingConfig
from MaskWhatMattersLib.masking.draw import draw_mask


def _hidden(kind: str, grid: tuple[int, ...], ratio: float, batch: int = 8) -> torch.Tensor:
    return draw_mask(MaskingConfig(kind=kind, ratio=ratio), grid, batch, seed=3, device="cpu").hidden


def _equal_neighbours(hidden: torch.Tensor) -> float:
    """Share of hidden tokens' neighbours that are hidden, too."""
    pairs = [
        (hidden.narrow(axis, 0, hidden.shape[axis] - 1), hidden.narrow(axis, 1, hidden.shape[axis] - 1))
        for axis in range(1, hidden.ndim)
    ]
    both = sum(int((first & second).sum()) for first, second in pairs)
    either = sum(int((first | second).sum()) for first, second in pairs)
    return both / either


@pytest.mark.parametrize("grid", [(14, 14), (8, 8, 8), (4, 12, 12)])
@pytest.mark.parametrize("ratio", [0.2, 0.5, 0.75])
def test_blocks_hide_neighbours_together(grid, ratio):
    assert _equal_neighbours(_hidden("block", grid, ratio)) > 1.3 * _equal_neighbours(_hidden("random", grid, ratio))


def test_blocks_lie_anywhere_and_differ_between_images():
    hidden = _hidden("block", (10, 10), 0.3, batch=400).float().mean(0)
    assert hidden.min() > 0.15
    assert hidden.max() < 0.45


def test_the_grid_shows_one_token_of_each_square_of_four():
    visible = ~_hidden("grid", (6, 8), 0.75)
    squares = visible.reshape(8, 3, 2, 4, 2).sum(dim=(2, 4))
    assert (squares == 1).all()
    assert len({tuple(image.nonzero()[0].tolist()) for image in visible}) > 1  # not the same one in every image


def test_the_grid_shows_one_token_of_each_cube_of_eight():
    visible = ~_hidden("grid", (4, 6, 8), 0.875)
    assert (visible.reshape(8, 2, 2, 3, 2, 4, 2).sum(dim=(2, 4, 6)) == 1).all()


@pytest.mark.parametrize("grid", [(6, 8), (4, 4, 6)])
def test_the_grid_is_a_checkerboard_when_half_is_hidden(grid):
    assert _equal_neighbours(_hidden("grid", grid, 0.5)) == 0


def test_the_grid_is_regular_along_one_axis_of_one_token():
    visible = ~_hidden("grid", (1, 8, 8), 0.75)
    assert (visible.reshape(8, 4, 2, 4, 2).sum(dim=(2, 4)) <= 2).all()
