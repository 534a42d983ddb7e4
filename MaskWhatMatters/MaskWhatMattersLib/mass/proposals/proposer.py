"""What makes proposals: the protocol, proposals that a user has drawn, and several kinds together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.mass.proposals.from_labels import from_label_volume, joined
from MaskWhatMattersLib.mass.proposals.proposal_set import ProposalSet
from MaskWhatMattersLib.progress import Progress
from MaskWhatMattersLib.volumes import Volume, resample_like


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
        label_maps: Integers, [C, D, H, W] each, on any grid; every value above 0 of every channel is a proposal.
    """

    def __init__(self, label_maps: Sequence[Volume]) -> None:
        self.label_maps = tuple(label_maps)

    def propose(self, volume: Volume, progress: Progress | None = None) -> ProposalSet:
        """See `MaskProposer`.

        Raises:
            InputError: Nothing of a label map lies in the scan.
        """
        sets = []
        for label_map in self.label_maps:
            moved = resample_like(label_map, volume, "nearest")
            if not moved.array.any():
                raise InputError(
                    f'The label map "{label_map.name}" marks nothing in the scan; found '
                    f"{np.count_nonzero(label_map.array)} marked voxels elsewhere. Choose the label map of this scan."
                )
            layers = np.rint(moved.array).astype(np.int32)
            sets += [from_label_volume(layer, volume.spacing_mm, "user") for layer in layers]
        return joined(sets)


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
