"""Segment the left atrium in one scan: find it, segment it, and bring the result back to the scan's own voxels."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from MaskWhatMattersLib.corn.locate import AtriumFinder, FieldOfView, is_whole_chest
from MaskWhatMattersLib.corn.model_files import read_network
from MaskWhatMattersLib.corn.network import ARCHITECTURE, CornNetwork, CornNetworkConfig
from MaskWhatMattersLib.corn.postprocess import averaged_over_mirrors, clean
from MaskWhatMattersLib.corn.preprocessing import ScanPreprocessing, normalise, prepare_scan
from MaskWhatMattersLib.corn.report import ReviewLimits, boundary_entropy, dice, review_reasons
from MaskWhatMattersLib.corn.result import AtriumSegmentation as AtriumSegmentation
from MaskWhatMattersLib.corn.sliding import SlidingWindow, slide, stoppable, whole_pass
from MaskWhatMattersLib.datasets.cases import looks_like_ct
from MaskWhatMattersLib.models import ModelCard
from MaskWhatMattersLib.networks.devices import torch_device
from MaskWhatMattersLib.progress import Progress, SilentProgress
from MaskWhatMattersLib.volumes import (
    Volume,
    pad,
    require_3d,
    require_finite,
    require_scalar,
    resample_like,
    to_ijk,
)

DEFAULT_MODEL = "left-atrium"
Precision = Literal["fp32", "bf16"]

_MARGIN_MM = 15.0
_NEAR_MM = 5.0
_PASS_BYTES = 2_000_000_000  # for the feature maps of one pass; the rest of 4 GB is for Python and the scan
_MAPS = 8  # of full resolution and width, float32, alive at once; measured: 7.2 in the branch that needs more


class AtriumSegmenter:
    """The two V-Nets of a model, kept ready for any number of scans. Make it with `load`.

    Attributes:
        card: Of the model.
        preprocessing: How scans are prepared for it.
        device: Where it runs.
    """

    def __init__(
        self,
        network: CornNetwork,
        preprocessing: ScanPreprocessing,
        card: ModelCard,
        device: torch.device,
        *,
        finder: str | Path | None = None,
        precision: Precision = "fp32",
    ) -> None:
        self.network = network.to(device, memory_format=torch.channels_last_3d).eval()  # type: ignore[call-overload]
        self.preprocessing = preprocessing
        self.card = card
        self.device = device
        self._precision = precision
        self._finder_model = finder
        self._finder: AtriumFinder | None = None

    @classmethod
    def load(
        cls,
        model: str | Path | None = None,
        device: str = "auto",
        finder: str | Path | None = None,
        precision: Precision = "fp32",
    ) -> Self:
        """A model by name or file; the bundled "left-atrium" when None.

        Args:
            model: Name or .safetensors file.
            device: "auto", "cpu", "cuda", "cuda:1".
            finder: Name or file of the network that finds the atrium; read when it is first needed.
            precision: "bf16" is faster where the processor knows it, and not exact.

        Raises:
            ModelFileError: Not found, damaged, or made for another network; lists what does not fit.
            InputError: No such device.
        """
        loaded = read_network(model or DEFAULT_MODEL, ARCHITECTURE, CornNetworkConfig, CornNetwork)
        return cls(*loaded, torch_device(device), finder=finder, precision=precision)

    @property
    def name(self) -> str:
        """Name and version of the model."""
        return f"{self.card.name} {self.card.version}"

    def segment(
        self,
        volume: Volume,
        *,
        field_of_view: FieldOfView = "auto",
        mirrored: bool = False,
        sliding: SlidingWindow | None = None,
        average_branches: bool = True,
        keep_probability: bool = False,
        progress: Progress | None = None,
    ) -> AtriumSegmentation:
        """Segment one scan.

        Args:
            volume: Scalar MR scan, any orientation, oblique and anisotropic included.
            field_of_view: "crop" segments all of it; "full" looks for the atrium first and segments around it; "auto"
                looks first where the scan is wider than 180 mm along two axes.
            mirrored: Average over the scan and its mirror images, four times the work.
            sliding: Windows instead of the whole scan in one pass.
            average_branches: The label map from the mean of both branches, which are computed anyway; False takes the
                main one, as the published protocol does.
            keep_probability: Return the probability, too.
            progress: Receives stages and steps.

        Raises:
            InputError: The scan cannot be used; the message says why.
            GeometryError: It is a single slice.
        """
        started = time.perf_counter()
        progress = progress or SilentProgress()
        require_finite(require_3d(require_scalar(volume)))
        looks_first = field_of_view == "full" or (field_of_view == "auto" and is_whole_chest(volume))
        region: Volume | None = volume
        if looks_first:
            progress.stage("Finding the atrium")
            region = self._finder_ready().find(volume, _MARGIN_MM, progress)
        seen = None
        if region is not None:
            prepared = prepare_scan(region, self.preprocessing)
            main, auxiliary = self._probabilities(prepared, mirrored, sliding, progress)
            progress.stage("Measuring")
            seen = _Seen(
                region, prepared, main, auxiliary, np.float32(0.5) * (main + auxiliary) if average_branches else main
            )
        return self._answer(volume, seen, looks_first, keep_probability, started)

    def _finder_ready(self) -> AtriumFinder:
        if self._finder is None:
            self._finder = AtriumFinder.load(self._finder_model, str(self.device))
        return self._finder

    def _probabilities(
        self, prepared: Volume, mirrored: bool, sliding: SlidingWindow | None, progress: Progress
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Probability of the left atrium by the main and by the auxiliary branch, [D, H, W] each."""
        stage = "Segmenting the atrium"
        predict = averaged_over_mirrors(self._predict) if mirrored else self._predict
        with torch.inference_mode(), stoppable(self.network, progress):
            image = normalise(torch.from_numpy(prepared.array)[None].to(self.device))
            if sliding is not None:
                progress.stage(stage, sliding.count(prepared.spatial_shape))
                both = slide(predict, image, sliding, progress)
            else:
                progress.stage(stage)
                width, divisor = self.network.config.width, self.network.config.divisor
                both = whole_pass(predict, image, divisor, _PASS_BYTES // (4 * width * _MAPS), progress)
            main, auxiliary = both[0].cpu().numpy()
        return main, auxiliary

    def _predict(self, images: Tensor) -> Tensor:
        """Foreground probability of both branches, [B, 2, D, H, W]; one after the other, to need less memory."""
        images = images.contiguous(memory_format=torch.channels_last_3d)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._precision == "bf16"):
            logits = [branch(images).logits for branch in (self.network.main, self.network.auxiliary)]
        return torch.cat([each.float().softmax(1)[:, 1:2] for each in logits], dim=1)

    def _answer(
        self, volume: Volume, seen: _Seen | None, looked_first: bool, keep_probability: bool, started: float
    ) -> AtriumSegmentation:
        """Bring everything to the scan's own voxels and measure it."""
        label_map, probability = _on_scan(volume, None, np.uint8), None
        disagreement = _on_scan(volume, None, np.float32)
        agreement = entropy = math.nan
        reasons: tuple[str, ...] = ()
        if seen is not None:
            on_region = seen.to_region(seen.chosen)
            on_region_label = on_region.with_array(clean(on_region.array[0] > 0.5)[None])
            label_map = _on_scan(volume, on_region_label, np.uint8)
            disagreement = _on_scan(volume, seen.to_region(seen.disagreement()), np.float32)
            probability = on_region
            agreement, entropy = seen.agreement(), seen.entropy()
            if looked_first and _touches_a_cut(on_region_label, volume):
                reasons = ("the atrium reaches the border of the region that was looked at",)
        if keep_probability:
            probability = _on_scan(volume, probability, np.float32)
        volume_ml = np.count_nonzero(label_map.array) * volume.voxel_volume_ml
        limits = self.preprocessing.review or ReviewLimits()
        is_ct = looks_like_ct(volume)
        reasons = review_reasons(volume_ml, agreement, entropy, limits, is_ct=is_ct) + reasons
        return AtriumSegmentation(
            label_map=label_map,
            disagreement=disagreement,
            probability=probability if keep_probability else None,
            volume_ml=volume_ml,
            agreement=agreement,
            boundary_entropy=entropy,
            review=bool(reasons),
            review_reasons=reasons,
            seconds=time.perf_counter() - started,
            model=self.name,
            field_of_view="full" if looked_first else "crop",
            research_only=self.card.research_only,
        )


@dataclass(frozen=True, eq=False)
class _Seen:
    """What the networks said about a region of the scan.

    Attributes:
        region: Part of the scan, on its voxels.
        prepared: The same as the networks saw it.
        main: Probability by the main branch on the voxels of `prepared`, [D, H, W].
        auxiliary: By the auxiliary branch.
        chosen: What the label map comes from.
    """

    region: Volume
    prepared: Volume
    main: NDArray[np.float32]
    auxiliary: NDArray[np.float32]
    chosen: NDArray[np.float32]

    def agreement(self) -> float:
        """Dice of what either branch alone would have called left atrium."""
        return dice(clean(self.main > 0.5), clean(self.auxiliary > 0.5))

    def disagreement(self) -> NDArray[np.float32]:
        """|main - auxiliary| near what either branch calls left atrium; pieces apart are dropped and no dispute."""
        either = clean(self.main > 0.5) | clean(self.auxiliary > 0.5)
        steps = max(1, round(_NEAR_MM / self.prepared.spacing_mm[0]))
        near = ndimage.binary_dilation(either, iterations=steps)
        return np.where(near, np.abs(self.main - self.auxiliary), np.float32(0))

    def entropy(self) -> float:
        """Doubt at the border; on the networks' voxels, so that one limit serves scans of any spacing."""
        return boundary_entropy(self.chosen, clean(self.chosen > 0.5))

    def to_region(self, values: NDArray[np.float32]) -> Volume:
        """Values on the networks' voxels, interpolated to the scan's."""
        # One voxel more to every side: the scan may end half a voxel beyond the prepared one.
        grid = pad(self.prepared.with_array(values[None]), (1, 1, 1), (1, 1, 1))
        return resample_like(grid.with_array(np.pad(values, 1, mode="edge")[None]), self.region)


def _on_scan(volume: Volume, part: Volume | None, dtype: type[np.generic]) -> Volume:
    """A part of a scan on the voxels of all of it, 0 around; all 0 for no part."""
    if part is None:
        return volume.with_array(np.zeros((1, *volume.spatial_shape), dtype))
    return volume.with_array(resample_like(replace(part, array=part.array.astype(dtype)), volume, "nearest").array)


def _touches_a_cut(label_map: Volume, volume: Volume) -> bool:
    """Whether a label map on a part of a scan reaches a side where the scan goes on."""
    start = np.rint(to_ijk(label_map.origin_ras, volume.affine)).astype(int)
    for axis, length in enumerate(label_map.spatial_shape):
        before = start[2 - axis]
        after = volume.spatial_shape[axis] - before - length
        if (before > 0 and label_map.array[0].take(0, axis).any()) or (
            after > 0 and label_map.array[0].take(-1, axis).any()
        ):
            return True
    return False


def segment_left_atrium(
    volume: Volume,
    model: str | Path | None = None,
    *,
    device: str = "auto",
    field_of_view: FieldOfView = "auto",
    mirrored: bool = False,
) -> AtriumSegmentation:
    """Segment the left atrium in one MR scan; see `AtriumSegmenter`, which keeps the model for further scans.

    Raises:
        InputError: The scan, the model or the device cannot be used; the message says why.
    """
    return AtriumSegmenter.load(model, device).segment(volume, field_of_view=field_of_view, mirrored=mirrored)
