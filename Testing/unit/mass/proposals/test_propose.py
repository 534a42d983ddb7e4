from __future__ import annotations

import numpy as np
import pytest

from MaskWhatMattersLib.errors import GeometryError, InputError, JobCancelledError
from MaskWhatMattersLib.mass.proposals.body import body_mask
from MaskWhatMattersLib.mass.proposals.config import SupervoxelConfig
from MaskWhatMattersLib.mass.proposals.proposal_set import KINDS, ProposalSet
from MaskWhatMattersLib.mass.proposals.propose import SupervoxelProposer
from MaskWhatMattersLib.progress import SilentProgress
from MaskWhatMattersLib.volumes import Volume
from unit.mass.proposals.two_organs import dice, organs, trunk


@pytest.fixture(scope="module")
def proposals() -> ProposalSet:
    return SupervoxelProposer().propose(trunk())


def kinds(found: ProposalSet) -> set[str]:
    return {KINDS[code] for code in np.unique(found.kind)}


def test_all_kinds_are_proposed(proposals):
    assert kinds(proposals) == {"supervoxel", "merged", "threshold", "watershed", "union"}


@pytest.mark.parametrize("organ", [0, 1])
def test_merging_finds_organs_that_even_regions_do_not(proposals, organ):
    truth = organs()[organ]
    best = {
        kind: max(dice(mask, truth) for mask in proposals.masks(np.flatnonzero(proposals.kind == KINDS.index(kind))))
        for kind in ("supervoxel", "merged")
    }
    assert best["merged"] > 0.9
    assert best["merged"] > best["supervoxel"]


def test_no_proposal_is_smaller_or_larger_than_wanted(proposals):
    assert proposals.volume_ml.min() >= 0.2
    assert proposals.volume_ml.max() <= 0.6 * (trunk().array > 0).sum() * 0.064


def test_a_parent_holds_its_child(proposals):
    children = np.flatnonzero(proposals.parent >= 0)[::7]
    assert children.size
    for child, parent in zip(proposals.masks(children), proposals.masks(proposals.parent[children]), strict=True):
        assert (child <= parent).all()


def test_no_proposal_leaves_the_body(proposals):
    assert proposals.first.min() == 1  # 0 is what lies outside
    outside = ~body_mask(trunk(), is_ct=False)
    assert not any((mask & outside).any() for mask in proposals.masks(np.arange(len(proposals))[::5]))


def test_the_same_scan_and_settings_give_the_same_proposals(proposals):
    again = SupervoxelProposer().propose(trunk())
    np.testing.assert_array_equal(again.first, proposals.first)
    np.testing.assert_array_equal(np.stack(again.levels), np.stack(proposals.levels))


def test_no_more_regions_and_nodes_than_wanted():
    config = SupervoxelConfig(most_regions=20, most_nodes=10, regions_ml=(2.0,), union_share=0.0)
    found = SupervoxelProposer(config).propose(trunk())
    assert (found.kind == KINDS.index("supervoxel")).sum() <= 20
    assert (found.kind == KINDS.index("merged")).sum() <= 20
    assert "union" not in kinds(found)


def test_half_the_resolution_finds_organs_too():
    found = SupervoxelProposer(SupervoxelConfig(most_voxels=1000)).propose(trunk())
    assert max(dice(mask, organs()[0]) for mask in found.masks(range(len(found)))) > 0.75


@pytest.mark.parametrize("spacing_mm", [0.7, 12.0])
def test_tiny_crops_and_coarse_grids_give_proposals(spacing_mm):
    volume = trunk(spacing_mm)
    crop = Volume(volume.array[:, 4:19, 6:25, 4:25], volume.affine)
    assert len(SupervoxelProposer().propose(crop))


def test_ct_is_looked_at_in_hounsfield_units():
    volume = trunk(modality="CT")
    values = np.where(volume.array > 0, volume.array - 100, -1000)
    found = SupervoxelProposer().propose(volume.with_array(values))
    assert max(dice(mask, organs()[1]) for mask in found.masks(range(len(found)))) > 0.8


def test_a_scan_of_one_value_is_cut_all_the_same():
    flat = trunk().with_array(np.full((1, 24, 32, 32), 5.0))
    assert kinds(SupervoxelProposer().propose(flat)) >= {"supervoxel"}


@pytest.mark.parametrize(
    ("array", "problem"),
    [
        (np.zeros((2, 8, 8, 8)), InputError),
        (np.full((1, 8, 8, 8), np.nan), InputError),
        (np.ones((1, 1, 8, 8)), GeometryError),
    ],
)
def test_what_is_no_scalar_volume_is_refused(array, problem):
    with pytest.raises(problem):
        SupervoxelProposer().propose(Volume(array, np.eye(4)))


def test_proposing_can_be_stopped():
    class Stopped(SilentProgress):
        def step(self, count: int = 1, message: str = "") -> None:
            raise JobCancelledError

    with pytest.raises(JobCancelledError):
        SupervoxelProposer().propose(trunk(), Stopped())
