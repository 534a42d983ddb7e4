from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.mass.proposals.config import SupervoxelConfig
from MaskWhatMattersLib.mass.proposals.proposal_set import KINDS, ProposalSet
from MaskWhatMattersLib.mass.proposals.propose import SupervoxelProposer
from MaskWhatMattersLib.mass.proposals.proposer import Mixed, UserSegments
from MaskWhatMattersLib.volumes import Volume, orient
from unit.mass.proposals.two_organs import organs, trunk


def kinds(found: ProposalSet) -> set[str]:
    return {KINDS[code] for code in np.unique(found.kind)}


def label_map(volume: Volume) -> Volume:
    """Both organs as values 2 and 5."""
    large, small = organs()
    return volume.with_array((large * 2 + small * 5)[None].astype(np.uint8))


def test_user_segments_of_any_orientation_are_proposals():
    volume = trunk()
    found = UserSegments([orient(label_map(volume), "LPI")]).propose(volume)
    np.testing.assert_array_equal(found.masks([0, 1]), np.stack(organs()))
    assert kinds(found) == {"user"}


def test_a_label_map_of_another_place_is_refused():
    volume = trunk()
    moved = volume.affine.copy()
    moved[:3, 3] += 1000
    with pytest.raises(InputError, match="marks nothing in the scan"):
        UserSegments([replace(label_map(volume), affine=moved)]).propose(volume)


def test_several_proposers_are_mixed():
    volume = trunk()
    config = SupervoxelConfig(regions_ml=(32.0,), union_share=0.0)
    found = Mixed([UserSegments([label_map(volume)]), SupervoxelProposer(config)]).propose(volume)
    assert kinds(found) >= {"user", "supervoxel", "watershed"}
    np.testing.assert_array_equal(found.masks([0, 1]), np.stack(organs()))
