"""What makes proposals: the protocol, proposals that a user has drawn, and several kinds together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from MaskWhatMattersLib.mass.proposals.from_labels import from_label_volume, joined
from MaskWhatMattersLib.mass.proposals.proposal_set import ProposalSet
from MaskWhatMattersLib.progress import Progress
from MaskWhatMattersLib.volumes import Volume, require_same_grid


class MaskProposer(Protocol):
    """Proposes masks of whatever is in a scan, without knowing what it is."""

    def propose(self, volume: Volume, progress: Progress | None = None) -> ProposalSet:
        """Masks on the voxels of a scan.

        Args:
            volume: Scalar scan, [1, D, H, W], orientation RAS, cubic voxels, its own grey values (HU in CT).
            progress: Receives stages; may stop the work.
        """
        ...


class UserSegments:
    """Proposes what people have segmented.

    Args:
        label_maps: Integers, [C, D, H, W] each; every value above 0 of every channel is a proposal.
    """

    def __init__(self, label_maps: Sequence[Volume]) -> None:
        self.label_maps = tuple(label_maps)

    def propose(self, volume: Volume, progress: Progress | None = None) -> ProposalSet:
        """See `MaskProposer`.

        Raises:
            GeometryError: A label map does not lie on the voxels of the scan.
        """
        for label_map in self.label_maps:
            require_same_grid(label_map, volume, volume.name or "the scan")
        layers = [np.rint(layer).astype(np.int32) for label_map in self.label_maps for layer in label_map.array]
        return joined([from_label_volume(layer, volume.spacing_mm, "user") for layer in layers])


class Mixed:
    """Proposes what several proposers do.

    Args:
        proposers: At least one.
    """

    def __init__(self, proposers: Sequence[MaskProposer]) -> None:
        self.proposers = tuple(proposers)

    def propose(self, volume: Volume, progress: Progress | None = None) -> ProposalSet:
        """See `MaskProposer`."""
        return joined([proposer.propose(volume, progress) for proposer in self.proposers])
