"""Windows over a prepared scan, and the mean of what is said about each voxel where they overlap."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from monai.data.utils import compute_importance_map, dense_patch_slices
from torch import Tensor
from torch.nn import functional

from MaskWhatMattersLib.progress import Progress

Window = tuple[slice, slice, slice]
"""A cube of voxels, along D, H and W."""

_SIGMA = 0.125  # of the window's side (MASS, inference of the released code)
_MOST_BYTES = 4_000_000_000  # of float32 probabilities; beyond, they are kept as float16


def padded(image: Tensor, window: int) -> tuple[Tensor, Window]:
    """An image with zeros around it where it is smaller than a window, and where it lies in there.

    Args:
        image: [D, H, W], z-scored, so that 0 is the mean.
        window: Side of a window, voxels.
    """
    missing = [max(0, window - side) for side in image.shape]
    widths = [width for lack in reversed(missing) for width in (lack // 2, lack - lack // 2)]
    inside = [slice(lack // 2, lack // 2 + side) for lack, side in zip(missing, image.shape, strict=True)]
    return functional.pad(image, widths), (inside[0], inside[1], inside[2])


def windows_over(shape: Sequence[int], window: int, overlap: float) -> list[Window]:
    """Windows that cover an image; the last of each row is moved back to the border.

    Args:
        shape: D, H, W of the padded image.
        window: Side, voxels.
        overlap: Share of a window that the next one sees again, below 1.
    """
    step = max(1, int(window * (1 - overlap)))
    found: list[Window] = dense_patch_slices(tuple(shape), (window,) * 3, (step,) * 3)  # type: ignore[assignment]
    return found


def blended(
    predict: Callable[[Tensor], Tensor],
    image: Tensor,
    windows: Sequence[Window],
    classes: int,
    progress: Progress,
    batch: int = 1,
) -> Tensor:
    """Mean probabilities of windows, the middle of each counting most.

    Args:
        predict: [B, 1, D, H, W] to probabilities [B, K, D, H, W].
        image: Padded, [D, H, W].
        windows: Of one size; a voxel that none of them holds gets 0.
        classes: K.
        progress: Gets one step per window, before it is looked at.
        batch: Windows at once.

    Returns:
        float32 or, where that would take more than 4 GB, float16 [K, D, H, W], on the image's device.
    """
    dtype = torch.float32 if 4 * classes * image.numel() <= _MOST_BYTES else torch.float16
    result = torch.zeros((classes, *image.shape), dtype=dtype, device=image.device)
    if not windows:
        return result
    size = tuple(side.stop - side.start for side in windows[0])
    weight = compute_importance_map(size, mode="gaussian", sigma_scale=_SIGMA, device=image.device)
    total = torch.zeros_like(image)
    for each in windows:
        total[each] += weight
    for start in range(0, len(windows), batch):
        few = windows[start : start + batch]
        progress.step(len(few))
        found = predict(torch.stack([image[each] for each in few])[:, None])
        for each, probability in zip(few, found, strict=True):
            # Divided first, so that sums stay below 1 in float16, too.
            result[(slice(None), *each)] += (probability * (weight / total[each])).to(dtype)
    return result
