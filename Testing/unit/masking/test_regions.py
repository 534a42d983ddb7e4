"""From what was found to relevant tokens."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.masking.config import RegionConfig
from MaskWhatMattersLib.masking.regions import region_of, token_relevance
from MaskWhatMattersLib.relevance.relevance_map import RelevanceMap
from MaskWhatMattersLib.volumes import Volume

LABELS = RegionConfig(source="labels")
SHAPES = RegionConfig(source="labels", box=False)


def _label_map(*boxes: tuple[slice, ...], shape=(12, 20, 30), spacing=(1.0, 2.0, 4.0), **kind) -> Volume:
    """Label 3 in each box; spacing along i, j and k."""
    array = np.zeros((1, *shape), np.uint8)
    for box in boxes:
        array[(0, *box)] = 3
    return Volume(array, np.diag([*spacing, 1.0]), **kind)


def _extent(region: Volume) -> list[tuple[int, int]]:
    """First and last voxel along k, j and i."""
    return [(int(axis.min()), int(axis.max())) for axis in np.nonzero(region.array[0])]


def _answer(volume: Volume, relevance: np.ndarray, threshold: float = 0.5) -> RelevanceMap:
    volume = volume.with_array(relevance.astype(np.float32))
    return RelevanceMap(volume, "it", "found", 0.9, "", "sample", "1", threshold=threshold)


def test_every_connected_piece_becomes_its_bounding_box():
    label_map = _label_map(np.s_[2:4, 3:9, 5:6], np.s_[2:3, 3:4, 5:9], np.s_[8:9, 15:16, 20:22])
    region = region_of(label_map, LABELS)
    expected = _label_map(np.s_[2:4, 3:9, 5:9], np.s_[8:9, 15:16, 20:22]).array > 0
    np.testing.assert_array_equal(region.array, expected)
    assert region.array.dtype == np.uint8


def test_without_boxes_the_region_has_the_shape_that_was_found():
    label_map = _label_map(np.s_[2:4, 3:9, 5:6], np.s_[2:3, 3:4, 5:9])
    np.testing.assert_array_equal(region_of(label_map, SHAPES).array, label_map.array > 0)


def test_millimetres_are_added_along_each_voxel_axis_by_its_spacing():
    region = region_of(_label_map(np.s_[5:7, 9:11, 10:14]), RegionConfig(source="labels", expand_mm=4.0))
    assert _extent(region) == [(4, 7), (7, 12), (6, 17)]


def test_a_factor_widens_a_box_about_its_centre():
    region = region_of(_label_map(np.s_[5:7, 8:12, 10:14]), RegionConfig(source="labels", expand=2.0))
    assert _extent(region) == [(4, 7), (6, 13), (8, 15)]


def test_boxes_end_with_the_image():
    region = region_of(_label_map(np.s_[0:2, 18:20, 0:30]), RegionConfig(source="labels", expand_mm=100))
    assert region.array.all()


def test_a_picture_has_no_millimetres():
    picture = _label_map(np.s_[0:1, 5:8, 5:8], shape=(1, 20, 30), has_physical_scale=False)
    assert _extent(region_of(picture, RegionConfig(source="labels", expand_mm=4.0))) == [(0, 0), (5, 7), (5, 7)]


@settings(max_examples=40, deadline=None)
@given(
    start=st.tuples(st.integers(0, 10), st.integers(0, 18), st.integers(0, 28)),
    factor=st.floats(1, 3),
    beyond_mm=st.floats(0, 30),
)
def test_expanding_never_loses_a_voxel(start, factor, beyond_mm):
    label_map = _label_map(tuple(slice(first, first + 2) for first in start))
    region = region_of(label_map, RegionConfig(source="labels", expand=factor, expand_mm=beyond_mm))
    assert region.array[label_map.array > 0].all()


def test_prompts_are_united_at_their_own_thresholds():
    volume = _label_map()
    relevance = np.zeros(volume.array.shape)
    relevance[0, 2, 2, 2:5] = 0.4
    other = np.zeros(volume.array.shape)
    other[0, 9, 9, 9] = 0.9
    maps = [_answer(volume, relevance, 0.3), _answer(volume, other)]
    assert region_of(maps, RegionConfig()).array.sum() == 4
    assert region_of(maps, RegionConfig(threshold=0.5)).array.sum() == 1


def test_nothing_found_is_an_empty_region():
    volume = _label_map()
    region = region_of([_answer(volume, np.zeros(volume.array.shape))], RegionConfig(expand_mm=10))
    assert not region.array.any()
    np.testing.assert_array_equal(region.affine, volume.affine)


def test_maps_that_are_missing_or_do_not_fit_are_refused():
    small, large = _label_map(shape=(2, 3, 4)), _label_map()
    with pytest.raises(InputError, match="at least one prompt"):
        region_of([], RegionConfig())
    with pytest.raises(InputError, match="one grid"):
        region_of([_answer(each, np.zeros(each.array.shape)) for each in (small, large)], RegionConfig())


def _region(*boxes: tuple[slice, ...], shape: tuple[int, ...] = (16, 24)) -> torch.Tensor:
    region = torch.zeros(1, *shape, dtype=torch.bool)
    for box in boxes:
        region[(0, *box)] = True
    return region


def _tokens(relevance: torch.Tensor) -> set[tuple[int, ...]]:
    return {tuple(place) for place in relevance[0].nonzero().tolist()}


def test_a_token_is_relevant_from_the_covered_share_on():
    region = _region(np.s_[0:8, 0:8], np.s_[0:8, 8:10])  # the second token is covered by a quarter
    assert _tokens(token_relevance(region, (2, 3), "area", 0.25)) == {(0, 0), (0, 1)}
    assert _tokens(token_relevance(region, (2, 3), "area", 0.26)) == {(0, 0)}


def test_a_small_lesion_takes_every_token_that_it_touches():
    assert _tokens(token_relevance(_region(np.s_[7:9, 12:13]), (2, 3))) == {(0, 1), (1, 1)}


def test_a_small_lesion_does_not_vanish_beside_a_large_one_elsewhere():
    region = _region(np.s_[0:16, 0:16], np.s_[40:41, 60:61], shape=(64, 64))
    assert _tokens(token_relevance(region, (8, 8))) == {(0, 0), (0, 1), (1, 0), (1, 1), (5, 7)}


def test_the_nearest_rule_sees_the_central_voxel_alone():
    assert _tokens(token_relevance(_region(np.s_[0:4, 0:8]), (2, 3), "nearest")) == set()
    assert _tokens(token_relevance(_region(np.s_[4:5, 12:13]), (2, 3), "nearest")) == {(0, 1)}


@settings(max_examples=60, deadline=None)
@given(
    grid=st.lists(st.integers(1, 4), min_size=2, max_size=3),
    patch=st.lists(st.integers(1, 6), min_size=3, max_size=3),
    share=st.sampled_from([0.0, 0.1, 0.25, 0.5, 1.0]),
    density=st.sampled_from([0.0, 0.05, 0.3, 0.9]),
    seed=st.integers(0, 999),
)
def test_the_area_rule_counts_voxels_for_any_token_size(grid, patch, share, density, seed):
    sides = list(zip(grid, patch, strict=False))
    spatial = [tokens * side for tokens, side in sides]
    region = torch.rand(2, *spatial, generator=torch.Generator().manual_seed(seed)) < density
    relevance = token_relevance(region, grid, "area", share)
    for image in range(2):
        for place in np.ndindex(*grid):
            box = tuple(slice(at * side, (at + 1) * side) for at, (_, side) in zip(place, sides, strict=True))
            covered = region[(image, *box)].double().mean().item()
            if covered >= share and covered > 0:
                assert relevance[(image, *place)]
            if covered == 0:
                assert not relevance[(image, *place)]
        assert relevance[image].any() == region[image].any()


def test_large_tokens_count_all_of_their_voxels():
    region = torch.ones(1, 600, 16, dtype=torch.bool)  # more voxels along an axis than a byte can count
    region[:, :300, :] = False
    region[:, 299, 0] = True  # a touched token beside relevant ones
    assert _tokens(token_relevance(region, (2, 2), "area", 1.0)) == {(1, 0), (1, 1)}


def test_a_view_of_a_region_gives_the_same_tokens_as_its_copy():
    region = torch.rand(2, 16, 8, 24) < 0.2
    turned = region.permute(0, 3, 1, 2)
    assert torch.equal(token_relevance(turned, (3, 2, 2)), token_relevance(turned.contiguous(), (3, 2, 2)))
    inner = torch.rand(3 + 16 * 24).lt(0.2)[3:].view(1, 16, 24)
    assert torch.equal(token_relevance(inner, (2, 3)), token_relevance(inner.clone(), (2, 3)))


@pytest.mark.parametrize("grid", [(3, 3), (2, 3, 1)])
def test_a_region_of_broken_tokens_is_refused(grid):
    with pytest.raises(InputError, match="whole tokens"):
        token_relevance(_region(), grid)
