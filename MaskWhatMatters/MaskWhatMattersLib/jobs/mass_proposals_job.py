"""The job behind "propose masks": one scan, by supervoxels or SAM 2."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from pydantic import Field

from MaskWhatMattersLib.jobs.spec import JobSpec
from MaskWhatMattersLib.mass.proposals.config import SupervoxelConfig

if TYPE_CHECKING:
    from MaskWhatMattersLib.mass.proposals.proposal_set import ProposalSet
    from MaskWhatMattersLib.mass.proposals.proposer import MaskProposer
    from MaskWhatMattersLib.progress import Progress
    from MaskWhatMattersLib.volumes import Volume


class MassProposalsSpec(JobSpec):
    """How to propose masks, and what to show of them."""

    function: ClassVar[str] = "MaskWhatMattersLib.jobs.mass_proposals_job:run"

    method: Literal["supervoxels", "sam2"] = Field("supervoxels", description="sam2 needs its weights.")
    weights: str | None = Field(None, description="Folder or hub id of SAM 2; the usual one when None.")
    allow_download: bool = Field(False, description="Fetch the weights from their hub where they are not here.")
    device: str = Field("auto", description='Where SAM 2 runs: "auto", "cpu", "cuda".')
    settings: SupervoxelConfig = SupervoxelConfig()
    spacing_mm: float = Field(1.5, gt=0, description="Side of the cubic voxels that masks are proposed on.")
    preview: bool = Field(False, description="Return a picture and a label map of some proposals.")


@dataclass(frozen=True, eq=False)
class ProposedMasks:
    """What was proposed for a scan.

    Attributes:
        proposals: On the scan in orientation RAS with cubic voxels.
        picture: Some of them over three planes, a PNG file; None unless asked for.
        label_map: The same ones on the scan's own voxels, uint8 [1, D, H, W]; None unless asked for.
        seconds: What proposing took.
    """

    proposals: ProposalSet
    picture: bytes | None
    label_map: Volume | None
    seconds: float


def run(spec: MassProposalsSpec, context: Progress, volume: Volume, segments: Volume | None = None) -> ProposedMasks:
    """Propose masks for a scan.

    Args:
        spec: Settings.
        context: Receives progress.
        volume: Scalar scan, [1, D, H, W], any orientation and spacing.
        segments: A person's label map, whose values are proposed, too; None where there is none.

    Raises:
        InputError: The scan, the label map, the weights or the device cannot be used.
    """
    from MaskWhatMattersLib.datasets.preparation import resample_smoothed
    from MaskWhatMattersLib.mass.proposals.preview import overlay, overview
    from MaskWhatMattersLib.mass.proposals.proposer import Mixed, UserSegments
    from MaskWhatMattersLib.volumes import orient, require_3d, require_finite, require_scalar, resample_like

    require_finite(require_3d(require_scalar(volume)))
    proposer = _proposer(spec, context)
    if segments is not None:
        proposer = Mixed([UserSegments([segments]), proposer])
    started = time.perf_counter()
    scan = resample_smoothed(orient(volume, "RAS"), spec.spacing_mm)
    proposals = proposer.propose(scan, context)
    seconds = time.perf_counter() - started
    if not spec.preview:
        return ProposedMasks(proposals, None, None, seconds)
    labels = overview(proposals)
    shown = resample_like(scan.with_array(labels[np.newaxis]), volume, "nearest")
    return ProposedMasks(proposals, overlay(scan, labels), replace(shown, name=volume.name), seconds)


def _proposer(spec: MassProposalsSpec, context: Progress) -> MaskProposer:
    if spec.method == "sam2":
        from MaskWhatMattersLib.mass.proposals.sam2 import Sam2Proposer
        from MaskWhatMattersLib.mass.proposals.sam2_config import SAM2_MODEL

        return Sam2Proposer(spec.weights or SAM2_MODEL, spec.device, consent=spec.allow_download, progress=context)
    from MaskWhatMattersLib.mass.proposals.propose import SupervoxelProposer

    return SupervoxelProposer(spec.settings)
