"""Class probabilities of whole prepared images: the network is led over them window by window."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from monai.inferers.utils import sliding_window_inference
from torch import Tensor, nn

from MaskWhatMattersLib.progress import Progress, SilentProgress

_WINDOWS = 4  # at once
_SLICES = 8  # at once


def standardized(images: Tensor) -> Tensor:
    """z-score of each image over its own voxels, as in training; 0 for a constant one.

    Args:
        images: Grey values, [B, *spatial].

    Returns:
        float32 [B, 1, *spatial].
    """
    flat = images.float().flatten(1)
    spread, mean = torch.std_mean(flat, dim=1, correction=0, keepdim=True)
    return ((flat - mean) / spread.clamp(min=1e-3)).reshape(images.shape)[:, None]


def with_channels(images: Tensor, channels: int) -> Tensor:
    """Grey images [B, 1, *spatial] for an encoder that wants several channels: all alike."""
    return images if channels == 1 else images.expand(-1, channels, *images.shape[2:])


def probabilities(
    network: nn.Module,
    images: Tensor,
    size: Sequence[int],
    *,
    channels: int = 1,
    overlap: float = 0.5,
    progress: Progress | None = None,
) -> Tensor:
    """Probability of each class in images of any size.

    Where windows overlap, the middle of each counts most. Images smaller than a window are padded with their mean.

    Args:
        network: Windows [B, C, *size] to logits [B, K, *size].
        images: Prepared grey values, uint8 [B, *spatial]; in 2D the slices of a volume, each standardized by itself.
        size: Of a window.
        channels: That the network takes.
        overlap: Share of a window that the next one sees again.
        progress: Asked before each pass of the network, by steps of 0, whether to stop.

    Returns:
        float32 [K, B, *spatial].
    """
    progress = progress or SilentProgress()

    def predict(windows: Tensor) -> Tensor:
        progress.step(0)
        answer: Tensor = network(with_channels(windows, channels)).float().softmax(1)
        return answer

    parts: list[Tensor] = [
        sliding_window_inference(standardized(few), tuple(size), _WINDOWS, predict, overlap, mode="gaussian")  # type: ignore[misc]
        for few in images.split(_SLICES)
    ]
    return torch.cat(parts).transpose(0, 1)
