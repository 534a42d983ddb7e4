"""Which tokens are hidden."""

from __future__ import annotations

import time

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.masking.config import MaskingConfig
from MaskWhatMattersLib.masking.counts import hidden_counts, overall_count
from MaskWhatMattersLib.masking.draw import draw_mask, most_visible, same_count

CONFIGS = {
    "random": MaskingConfig(ratio=0.75),
    "block": MaskingConfig(kind="block", ratio=0.4),
    "grid": MaskingConfig(kind="grid", ratio=0.75),
    "relevance": MaskingConfig(kind="relevance"),
    "nearest": MaskingConfig(kind="relevance", rule="nearest"),
    "equal budget": MaskingConfig(kind="relevance", equal_budget=True, ratio=0.4),
    "shuffled": MaskingConfig(kind="relevance", shuffled=True),
}
every_config = pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)


def _regions(batch: int, spatial: tuple[int, ...], seed: int = 0) -> torch.Tensor:
    """A box of random size in each image but the last, which has none."""
    generator = torch.Generator().manual_seed(seed)
    region = torch.zeros(batch, *spatial, dtype=torch.bool)
    for image in range(batch - 1):
        ends = [sorted(torch.randint(side + 1, (2,), generator=generator).tolist()) for side in spatial]
        region[(image, *(slice(first, max(last, first + 1)) for first, last in ends))] = True
    return region


def _draw(config: MaskingConfig, grid: tuple[int, ...] = (4, 6, 5), batch: int = 6, seed: int = 7, region=None):
    patch = (2, 4, 3)[: len(grid)]
    if region is None:
        region = _regions(batch, tuple(tokens * side for tokens, side in zip(grid, patch, strict=True)))
    return draw_mask(config, grid, batch, seed=seed, device="cpu", region=region)


@every_config
@pytest.mark.parametrize("grid", [(4, 6, 5), (7, 9)], ids=["3D", "2D"])
def test_counts_are_exact_in_every_image(config, grid):
    mask = _draw(config, grid)
    tokens = mask.hidden[0].numel()
    if config.kind == "relevance":
        counts = hidden_counts(config, mask.relevant.flatten(1).sum(1), tokens)
        assert torch.equal((mask.hidden & mask.relevant).flatten(1).sum(1), counts.inside)
        assert torch.equal((mask.hidden & ~mask.relevant).flatten(1).sum(1), counts.outside)
    else:
        assert (mask.hidden.flatten(1).sum(1) == overall_count(config, tokens)).all()
    assert mask.hidden.shape == (6, *grid)
    visible = (~mask.hidden).flatten(1).sum(1)
    assert visible.max() <= most_visible(config, tokens)
    assert not same_count(config) or (visible == most_visible(config, tokens)).all()


@settings(max_examples=60, deadline=None)
@given(
    grid=st.lists(st.integers(1, 7), min_size=2, max_size=3).filter(lambda sides: torch.Size(sides).numel() > 1),
    kind=st.sampled_from(["random", "block", "grid", "relevance"]),
    ratio=st.floats(0.01, 0.99),
    seed=st.integers(0, 2**63 - 2),
)
def test_any_grid_ratio_and_seed_hides_one_token_and_shows_one(grid, kind, ratio, seed):
    config = MaskingConfig(kind=kind, ratio=ratio, inside=ratio, outside=1 - ratio)
    mask = draw_mask(config, grid, 3, seed=seed, device="cpu", region=_regions(3, tuple(grid), seed % 1000))
    hidden = mask.hidden.flatten(1).sum(1)
    assert ((hidden >= 1) & (hidden < mask.hidden[0].numel())).all()
    if kind == "relevance":
        inside = (mask.hidden & mask.relevant).flatten(1).sum(1)
        assert ((inside >= 1) | (mask.relevant.flatten(1).sum(1) < 2)).all()
    else:
        assert (hidden == overall_count(config, mask.hidden[0].numel())).all()


@every_config
def test_a_mask_is_a_function_of_its_seed(config):
    torch.manual_seed(1)
    first = _draw(config)
    torch.manual_seed(2)
    assert torch.equal(_draw(config).hidden, first.hidden)
    assert not torch.equal(_draw(config, seed=8).hidden, first.hidden)


@every_config
def test_images_of_a_batch_hide_different_tokens(config):
    region = torch.zeros(5, 8, 24, 15, dtype=torch.bool)
    region[:, 2:6, 8:20, 3:12] = True
    hidden = _draw(config, batch=5, region=region).hidden.flatten(1)
    assert len(hidden.unique(dim=0)) > 1


@every_config
def test_drawing_neither_waits_for_the_device_nor_moves_data_to_it(config):
    region = _regions(6, (8, 24, 15))
    with _RefusesToWait():
        mask = _draw(config, region=region)
        mask.ratio(), mask.ratio_inside(), mask.ratio_outside(), mask.has_region()


def test_every_token_is_hidden_equally_often():
    hidden = draw_mask(MaskingConfig(ratio=0.25), (4, 4), 4000, seed=1, device="cpu").hidden.float().mean(0)
    torch.testing.assert_close(hidden, torch.full((4, 4), 0.25), atol=0.03, rtol=0)


def test_in_and_outside_of_a_region_every_token_is_hidden_equally_often():
    region = torch.zeros(4000, 4, 4, dtype=torch.bool)
    region[:, :2] = True
    config = MaskingConfig(kind="relevance", inside=0.75, outside=0.25)
    hidden = draw_mask(config, (4, 4), 4000, seed=1, device="cpu", region=region).hidden.float().mean(0)
    torch.testing.assert_close(hidden[:2], torch.full((2, 4), 0.75), atol=0.03, rtol=0)
    torch.testing.assert_close(hidden[2:], torch.full((2, 4), 0.25), atol=0.03, rtol=0)


def test_images_without_a_region_hide_the_uniform_ratio():
    config = MaskingConfig(kind="relevance", inside=0.9, outside=0.1, ratio=0.5)
    mask = draw_mask(config, (4, 6), 2, seed=0, device="cpu", region=torch.zeros(2, 16, 24, dtype=torch.bool))
    torch.testing.assert_close(mask.ratio(), torch.tensor([0.5, 0.5]))
    torch.testing.assert_close(draw_mask(config, (4, 6), 2, seed=0, device="cpu").ratio(), torch.tensor([0.5, 0.5]))


def test_a_region_tells_the_ratios_of_random_masks_and_changes_none():
    config = MaskingConfig(ratio=0.5)
    told = draw_mask(config, (4, 6), 3, seed=0, device="cpu", region=_regions(3, (8, 24)))
    assert torch.equal(told.hidden, draw_mask(config, (4, 6), 3, seed=0, device="cpu").hidden)
    assert told.has_region().tolist() == [True, True, False]


def test_every_image_needs_a_region_of_its_own():
    with pytest.raises(InputError, match="2 regions for 3 images"):
        draw_mask(MaskingConfig(kind="relevance"), (4, 6), 3, seed=0, device="cpu", region=_regions(2, (8, 24)))


@pytest.mark.parametrize("name", ["random", "relevance", "equal budget"])
def test_a_batch_of_large_grids_takes_milliseconds(name):
    region = torch.zeros(16, 12, 12, 12, dtype=torch.bool)
    region[:, 3:8, 2:9] = True
    best = min(_seconds_of(CONFIGS[name], region) for _ in range(10))
    assert best < 0.02  # about 1 ms on an idle core; other work may share it


def _seconds_of(config: MaskingConfig, region: torch.Tensor) -> float:
    started = time.perf_counter()
    draw_mask(config, (12, 12, 12), 16, seed=1, device="cpu", region=region)
    return time.perf_counter() - started


class _RefusesToWait(TorchDispatchMode):
    """Fails on whatever waits for a device, or brings data from the host to it."""

    _WAITS = ("_local_scalar_dense", "nonzero", "masked_select", "item", "is_nonzero", "unique", "equal", "_to_copy")

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        waits = name in self._WAITS and not (name == "_to_copy" and "device" not in (kwargs or {}))
        by_mask = name == "index" and any(each is not None and each.dtype == torch.bool for each in args[1])
        assert not waits, f"{name} waits for the device"
        assert not by_mask, "indexing by truth values waits for the device"
        assert name != "lift_fresh", "torch.tensor copies from the host"
        return func(*args, **(kwargs or {}))
