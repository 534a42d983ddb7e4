"""How a fully convolutional network is led over a scan: in one pass, in large tiles, or window by window."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal, Self, cast

import torch
from monai.inferers.utils import sliding_window_inference
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from MaskWhatMattersLib.progress import Progress, SilentProgress

Predictor = Callable[[Tensor], Tensor]
"""Images [B, 1, D, H, W] to probabilities [B, K, D, H, W]."""

_HALO = 32  # voxels; a multiple of every divisor up to 32


class SlidingWindow(BaseModel):
    """Windows as in the published protocol: 112 x 112 x 80 voxels, steps 18, 18 and 4, all of one weight."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    window: tuple[int, int, int] = Field((80, 112, 112), description="Voxels, D, H, W.")
    stride: tuple[int, int, int] = Field((4, 18, 18), description="Voxels from one window to the next, D, H, W.")
    weights: Literal["uniform", "gaussian"] = Field(
        "uniform", description="What counts in a window: all, or the middle."
    )
    batch: int = Field(4, ge=1, description="Windows at once.")

    @model_validator(mode="after")
    def _windows_leave_no_gap(self) -> Self:
        if any(not 1 <= step <= side for step, side in zip(self.stride, self.window, strict=True)):
            raise ValueError(f"each stride must be from 1 to its window; found {self.stride} for {self.window}")
        return self

    def count(self, shape: tuple[int, ...]) -> int:
        """Number of windows on a scan of D, H, W voxels; the last of each row is moved back to the border."""
        return math.prod(
            max(0, math.ceil((side - window) / step)) + 1
            for side, window, step in zip(shape, self.window, self.stride, strict=True)
        )


def slide(predict: Predictor, image: Tensor, settings: SlidingWindow, progress: Progress | None = None) -> Tensor:
    """Mean of the probabilities of all windows.

    Smaller scans are padded with zeros.

    Args:
        predict: Takes windows.
        image: [1, 1, D, H, W], z-scored.
        settings: Windows.
        progress: Gets one step per window.

    Returns:
        [1, K, D, H, W].
    """
    progress = progress or SilentProgress()

    def counted(windows: Tensor) -> Tensor:
        answer = predict(windows)
        progress.step(len(windows))
        return answer

    # MONAI takes the overlap as a share of the window and cuts the step to a whole number: half a voxel more hits it.
    overlap = [max(0.0, 1 - (step + 0.5) / side) for step, side in zip(settings.stride, settings.window, strict=True)]
    mode = {"uniform": "constant", "gaussian": "gaussian"}[settings.weights]
    answer = sliding_window_inference(image, settings.window, settings.batch, counted, overlap, mode=mode)
    return cast(Tensor, answer)


def whole_pass(
    predict: Predictor, image: Tensor, divisor: int, most_voxels: int, progress: Progress | None = None
) -> Tensor:
    """The whole scan at once, or in as few tiles as stay below a number of voxels.

    The far borders repeat the last voxel up to the next multiple of the divisor. A tile sees 32 voxels beyond what is
    kept of it. That is less than all that a deep network could look at, so tiles differ from one pass by a little.

    Args:
        predict: Takes images whose sides are multiples of `divisor`.
        image: [1, 1, D, H, W], z-scored.
        divisor: Of the network.
        most_voxels: Of one pass, halo included; bounds the memory.
        progress: Gets one step per tile, and may stop the work there.

    Returns:
        [1, K, D, H, W].
    """
    shape = tuple(image.shape[2:])
    axis = max(range(3), key=lambda each: shape[each])
    halo = math.ceil(_HALO / divisor) * divisor
    middle = round(shape[axis] / 2 / divisor) * divisor
    voxels = math.prod(math.ceil(side / divisor) * divisor for side in shape)
    if voxels <= most_voxels or middle <= halo or shape[axis] - middle <= halo:
        (progress or SilentProgress()).step()
        return _padded_pass(predict, image, divisor)
    # Cuts at multiples of the divisor keep the voxels that are pooled together together.
    first = whole_pass(predict, image.narrow(axis + 2, 0, middle + halo), divisor, most_voxels, progress)
    rest = shape[axis] - middle
    second = whole_pass(predict, image.narrow(axis + 2, middle - halo, rest + halo), divisor, most_voxels, progress)
    return torch.cat((first.narrow(axis + 2, 0, middle), second.narrow(axis + 2, halo, rest)), dim=axis + 2)


@contextmanager
def stoppable(network: nn.Module, progress: Progress) -> Iterator[None]:
    """Let a pass of the network stop between its convolutions: over a large scan it takes many seconds.

    Args:
        network: Any.
        progress: Asked by steps of 0; raises to stop.
    """
    kinds = (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d)
    hooks = [
        module.register_forward_pre_hook(lambda *_: progress.step(0))
        for module in network.modules()
        if isinstance(module, kinds)
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _padded_pass(predict: Predictor, image: Tensor, divisor: int) -> Tensor:
    depth, height, width = image.shape[2:]
    missing = [-side % divisor for side in (width, height, depth)]
    padded = functional.pad(image, [part for side in missing for part in (0, side)], mode="replicate")
    return predict(padded)[..., :depth, :height, :width]
