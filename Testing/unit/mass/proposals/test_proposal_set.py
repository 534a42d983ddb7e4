from __future__ import annotations

import numpy as np
import pytest

from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.mass.proposals.from_labels import from_label_volume, from_ranges, joined
from MaskWhatMattersLib.mass.proposals.proposal_set import ProposalSet

SPACING = (1.0, 2.0, 5.0)


@pytest.fixture
def labels() -> np.ndarray:
    """Labels 0 to 6 at random."""
    return np.random.default_rng(0).integers(0, 7, (5, 6, 7)).astype(np.int32)


@pytest.fixture
def nested(labels: np.ndarray) -> ProposalSet:
    """Labels 1 to 6 of one volume, and two nodes over them."""
    first, last = np.array([1, 2, 3, 4, 5, 6, 2, 1]), np.array([1, 2, 3, 4, 5, 6, 4, 5])
    parent = np.array([7, 6, 6, 6, 7, -1, 7, -1])
    return from_ranges(labels, first, last, SPACING, np.zeros(8), parent)


def test_a_mask_is_a_range_of_labels(nested, labels):
    masks = nested.masks([0, 6, 7])
    for mask, range_ in zip(masks, ([1], [2, 3, 4], [1, 2, 3, 4, 5]), strict=True):
        np.testing.assert_array_equal(mask, np.isin(labels, range_))


def test_a_crop_of_masks_is_the_crop_of_whole_masks(nested):
    crop = (slice(1, 4), slice(0, 3), slice(2, 7))
    np.testing.assert_array_equal(nested.masks([6, 2], crop), nested.masks([6, 2])[(slice(None), *crop)])


def test_proposals_in_a_box_are_those_with_enough_voxels_in_it(nested):
    lower, upper = (1, 1, 1), (3, 4, 5)
    inside = nested.masks(range(8), tuple(map(slice, lower, upper))).sum((1, 2, 3))
    for least in (1, 3, 5):
        np.testing.assert_array_equal(nested.in_box(lower, upper, least), np.flatnonzero(inside >= least))


def test_no_proposal_is_in_a_box_beyond_the_scan(nested):
    assert not nested.in_box((9, 9, 9), (12, 12, 12)).size


def test_volumes_and_bounds_are_those_of_the_masks(nested):
    for index, mask in enumerate(nested.masks(range(8))):
        places = np.argwhere(mask)
        assert nested.bounds[index].tolist() == [*places.min(0), *(places.max(0) + 1)]
        assert nested.voxels[index] == mask.sum()
        assert nested.volume_ml[index] == pytest.approx(mask.sum() * 0.01)


def test_a_file_gives_the_same_proposals_back(nested, tmp_path):
    path = tmp_path / "made" / "scan.proposals.npz"
    nested.save(path)
    read = ProposalSet.load(path)
    np.testing.assert_array_equal(read.masks(range(8)), nested.masks(range(8)))
    np.testing.assert_array_equal(read.parent, nested.parent)
    assert read.spacing_mm == SPACING
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_large_label_numbers_survive_a_file(tmp_path):
    labels = np.full((1, 2, 2), 70_000, np.int32)
    one = from_ranges(labels, np.array([70_000]), np.array([70_000]), SPACING, np.zeros(1))
    one.save(tmp_path / "a.npz")
    assert ProposalSet.load(tmp_path / "a.npz").masks([0]).all()


@pytest.mark.parametrize("content", [b"", b"no such file", b"PK\x03\x04damaged"])
def test_a_file_that_is_none_is_refused(content, tmp_path):
    path = tmp_path / "a.proposals.npz"
    path.write_bytes(content)
    with pytest.raises(InputError, match="cannot be read as a file of proposals"):
        ProposalSet.load(path)


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"format": 9}, "format 9"), ({"level": np.array([5] * 8)}, "does not hold"), ({"first": np.zeros(3)}, "belong")],
)
def test_a_file_whose_arrays_do_not_fit_is_refused(change, reason, nested, tmp_path):
    path = tmp_path / "a.npz"
    nested.save(path)
    with np.load(path) as stored:
        arrays = dict(stored)
    np.savez(path, **{**arrays, **change})
    with pytest.raises(InputError, match=reason):
        ProposalSet.load(path)


def test_ranges_out_of_order_are_refused(nested, tmp_path):
    nested.save(tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as stored:
        arrays = dict(stored)
    np.savez(tmp_path / "a.npz", **{**arrays, "first": arrays["last"] + 1})
    with pytest.raises(InputError, match="out of order"):
        ProposalSet.load(tmp_path / "a.npz")


def test_a_place_that_cannot_be_written_to_is_named(nested, tmp_path):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(InputError, match="could not be written"):
        nested.save(tmp_path / "taken" / "a.npz")


def test_a_subset_keeps_parents_that_are_in_it(nested):
    few = nested.subset([1, 7, 6])
    np.testing.assert_array_equal(few.masks([0, 1, 2]), nested.masks([1, 7, 6]))
    assert few.parent.tolist() == [2, -1, 1]


def test_a_larger_field_moves_masks_and_bounds(nested):
    placed = nested.placed((1, 2, 0), (8, 9, 7))
    np.testing.assert_array_equal(placed.masks(range(8))[:, 1:6, 2:8], nested.masks(range(8)))
    np.testing.assert_array_equal(placed.bounds, nested.bounds + np.array([1, 2, 0, 1, 2, 0]))
    assert placed.masks([7]).sum() == nested.masks([7]).sum()


def test_sets_are_joined_in_their_order(nested, labels):
    user = from_label_volume(labels[::-1], SPACING, "user")
    both = joined([nested, user])
    assert len(both.levels) == 2
    np.testing.assert_array_equal(both.masks(range(8)), nested.masks(range(8)))
    np.testing.assert_array_equal(both.masks(range(8, 14)), user.masks(range(6)))
    np.testing.assert_array_equal(joined([user, nested]).parent[6:], np.where(nested.parent < 0, -1, nested.parent + 6))


def test_sets_of_different_grids_are_not_joined(nested, labels):
    with pytest.raises(InputError, match="one grid"):
        joined([nested, from_label_volume(labels[1:], SPACING, "user")])


def test_small_labels_are_left_out_when_asked():
    labels = np.zeros((4, 4, 4), np.int32)
    labels[0], labels[2, 0, 0] = 3, 5
    found = from_label_volume(labels, (10.0, 10.0, 10.0), "user", least_ml=2.0)
    assert found.first.tolist() == [3]
    assert found.volume_ml.tolist() == [16.0]
