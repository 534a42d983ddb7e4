"""Mask proposals by SAM 2, as MASS made them; needs its weights, which a user downloads or has."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from MaskWhatMattersLib.datasets.cases import looks_like_ct
from MaskWhatMattersLib.errors import ConsentRequiredError, InputError, ModelFileError
from MaskWhatMattersLib.mass.proposals.body import body_mask
from MaskWhatMattersLib.mass.proposals.proposal_set import ProposalSet
from MaskWhatMattersLib.mass.proposals.proposer import MaskProposer
from MaskWhatMattersLib.mass.proposals.renderings import render
from MaskWhatMattersLib.mass.proposals.sam2_config import SAM2_MODEL, Sam2Config
from MaskWhatMattersLib.mass.proposals.sam2_packing import FoundMask, packed, seeded_piece, without_duplicates
from MaskWhatMattersLib.progress import Progress, SilentProgress
from MaskWhatMattersLib.relevance.text_models.places import Consent
from MaskWhatMattersLib.volumes import Volume, percentile_range, require_3d, require_finite, require_scalar, window

_AXES = {"axial": 0, "coronal": 1, "sagittal": 2}
_PERCENTILES = ((5.0, 95.0), (15.0, 85.0), (1.0, 99.0))  # of MASS, for red, green and blue


class Sam2Proposer:
    """Finds masks in some slices and follows them through the others (MASS, arXiv 2603.13660; SAM 2, 2408.00714).

    Args:
        weights: Folder in the layout of the hub, or a hub id.
        device: "auto", "cpu", "cuda".
        config: Settings.
        consent: To a download from the hub; see `text_models.places.locate`.
        progress: Told of a download.

    Raises:
        InputError: Neither a folder nor a hub id, or no such device.
        ConsentRequiredError: It would have to be downloaded.
        ModelFileError: It cannot be loaded, or is no SAM 2 that follows objects through a video.
    """

    def __init__(
        self,
        weights: str = SAM2_MODEL,
        device: str = "auto",
        config: Sam2Config = Sam2Config(),  # noqa: B008  (frozen)
        consent: Consent = False,
        progress: Progress | None = None,
    ) -> None:
        from MaskWhatMattersLib.networks.devices import torch_device
        from MaskWhatMattersLib.relevance.text_models.loading import ModelFolder
        from MaskWhatMattersLib.relevance.text_models.pixels import IMAGENET, Preprocessing
        from MaskWhatMattersLib.relevance.text_models.places import locate

        self.config = config
        self._device = torch_device(device)
        folder = ModelFolder(locate(weights, consent, progress or SilentProgress()), self._device)
        if folder.model_type != "sam2_video":
            raise ModelFileError(
                f'{folder.path} holds a model of the type "{folder.model_type}"; masks are followed from slice to '
                f"slice by the type sam2_video. Choose a folder such as that of {SAM2_MODEL}."
            )
        self._images = folder.model("Sam2Model")
        self._video = folder.model("Sam2VideoModel")
        side = int(folder.config.get("image_size") or 1024)
        self._wanted = Preprocessing("stretch", side, side, *IMAGENET).from_folder(folder.path)

    def propose(self, volume: Volume, progress: Progress | None = None) -> ProposalSet:
        """See `MaskProposer`."""
        from MaskWhatMattersLib.mass.proposals.sam2_slices import SliceMasks
        from MaskWhatMattersLib.mass.proposals.sam2_video import SliceFollower

        report = progress or SilentProgress()
        require_finite(require_3d(require_scalar(volume)))
        is_ct = looks_like_ct(volume)
        body = body_mask(volume, is_ct)
        axis = _AXES[self.config.plane]
        pictures = _pictures(_colours(volume.array[0], body, is_ct), axis)
        in_slices = np.moveaxis(body, axis, 0)
        step_mm = volume.spacing_mm[2 - axis]
        pixel_mm2 = float(np.prod(volume.spacing_mm)) / step_mm
        seeds = seed_slices(in_slices, step_mm, self.config)
        finder = SliceMasks(self._images, self._device, self._wanted, self.config)
        follower = SliceFollower(self._video, self._device, self._wanted, pictures, self.config)
        found: list[FoundMask] = []
        report.stage("Following masks from slice to slice (SAM 2)", len(seeds))
        for seed in seeds:
            masks = finder.find(pictures[seed], in_slices[seed], pixel_mm2)
            for mask in follower.follow(seed, masks):
                begun = np.zeros_like(mask)
                begun[seed] = mask[seed]
                piece = seeded_piece(np.moveaxis(mask, 0, axis), np.moveaxis(begun, 0, axis))
                if piece is not None and piece.voxels * volume.voxel_volume_ml >= self.config.least_ml:
                    found.append(piece)
            report.step(message=f"{len(found)} masks")
        kept = without_duplicates(found, self.config.duplicate_overlap)
        proposals, left_out = packed(kept, volume.spatial_shape, volume.spacing_mm, "sam2", self.config.most_levels)
        report.log(f"SAM 2: {len(found)} masks, {len(proposals)} kept; {left_out} did not fit beside the others.")
        return proposals


def sam2_or(
    otherwise: MaskProposer,
    weights: str = SAM2_MODEL,
    device: str = "auto",
    *,
    consent: Consent = False,
    progress: Progress | None = None,
) -> MaskProposer:
    """SAM 2 where its weights are at hand, another proposer where not; the log says why.

    Args:
        otherwise: Used where SAM 2 cannot be.
        weights: See `Sam2Proposer`.
        device: See `Sam2Proposer`.
        consent: To a download.
        progress: Gets the line of log.
    """
    report = progress or SilentProgress()
    try:
        return Sam2Proposer(weights, device, consent=consent, progress=report)
    except (ConsentRequiredError, ModelFileError, InputError) as error:
        report.log(f"SAM 2 is not used; supervoxels take its place. {error}")
        return otherwise


def seed_slices(body: NDArray[np.bool_], step_mm: float, config: Sam2Config) -> list[int]:
    """Slices in which masks are looked for: evenly spaced over the body.

    Args:
        body: Slices first, [T, H, W].
        step_mm: From slice to slice.
        config: How far apart, and how many at least.
    """
    inside = np.flatnonzero(body.any(axis=(1, 2)))
    extent_mm = float(inside[-1] - inside[0] + 1) * step_mm
    count = min(len(inside), max(config.least_seeds, round(extent_mm / config.seed_every_mm)))
    middles = (np.arange(count) + 0.5) / count * len(inside)
    return [int(slice_number) for slice_number in inside[middles.astype(int)]]


def _colours(values: NDArray[np.floating], body: NDArray[np.bool_], is_ct: bool) -> NDArray[np.float32]:
    """Three windows, 0 to 1, [3, D, H, W]: SAM 2 was made for colours."""
    if is_ct:
        return render(values, body, is_ct)
    return np.stack([window(values, *percentile_range(values[body], *pair)) for pair in _PERCENTILES])


def _pictures(rendered: NDArray[np.float32], axis: int) -> list[NDArray[np.uint8]]:
    """RGB pictures, [H, W, 3] each, of renderings 0 to 1, [3, D, H, W]."""
    eight_bit = np.rint(rendered * 255).astype(np.uint8)
    return [np.ascontiguousarray(picture) for picture in np.moveaxis(eight_bit, (axis + 1, 0), (0, -1))]
