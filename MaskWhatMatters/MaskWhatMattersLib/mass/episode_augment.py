"""Views of a scan: where a crop's voxels lie in it, what it holds there, and changes of its grey values."""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor
from torch.nn import functional

from MaskWhatMattersLib.mass.pretrain_config import ViewConfig


def random_motion(config: ViewConfig, generator: torch.Generator) -> Tensor:
    """From steps between a crop's voxels to steps in the scan, [3, 3] over D, H, W; often the identity."""
    if float(torch.rand(1, generator=generator)) >= config.moved:
        return torch.eye(3)
    matrix = torch.eye(3)
    for first, second in ((0, 1), (0, 2), (1, 2)):
        angle = _between(-math.radians(config.rotation_deg), math.radians(config.rotation_deg), generator)
        turn = torch.eye(3)
        turn[first, first] = turn[second, second] = math.cos(angle)
        turn[first, second], turn[second, first] = -math.sin(angle), math.sin(angle)
        matrix = matrix @ turn
    shear = torch.eye(3)
    for row, column in itertools.permutations(range(3), 2):
        shear[row, column] = _between(-config.shear, config.shear, generator)
    zoom = _between(-math.log(config.zoom), math.log(config.zoom), generator)
    stretch = torch.tensor([_between(-1.0, 1.0, generator) for _ in range(3)]) * math.log(config.stretch)
    return matrix @ shear @ torch.diag((zoom + stretch).exp())


def places(motion: Tensor, centre: Tensor, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Where the voxels of a crop lie in the scan, in its voxels: k, j and i, each [S, S, S].

    Args:
        motion: From `random_motion`.
        centre: Of the crop in the scan, (k, j, i), on the device that is to do the work.
        size: Side of the crop, S.
    """
    motion = motion.to(centre.device, non_blocking=True)
    steps = torch.arange(size, device=centre.device, dtype=torch.float32) - (size - 1) / 2
    k, j, i = (
        centre[row] + motion[row, 0] * steps[:, None, None] + motion[row, 1] * steps[:, None] + motion[row, 2] * steps
        for row in range(3)
    )
    return k, j, i


def interpolated(grey: Tensor, mean: float, where: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """Grey values minus their mean between the voxels of a scan, trilinear; 0 beyond its faces.

    Args:
        grey: uint8 [D, H, W].
        mean: Of the scan.
        where: From `places`.

    Returns:
        float32 [S, S, S].
    """
    flat = grey.reshape(-1)
    _, height, width = grey.shape
    (k, wk), (j, wj), (i, wi) = (_neighbours(at, side) for at, side in zip(where, grey.shape, strict=True))
    total = torch.zeros_like(where[0])
    for first, second in itertools.product(range(2), repeat=2):
        row = (k[first] * height + j[second]) * width
        weight = wk[first] * wj[second]
        for third in range(2):
            values = flat.index_select(0, (row + i[third]).reshape(-1)).view_as(total)
            total.addcmul_(weight * wi[third], values - mean)
    return total


def nearest(levels: Tensor, where: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """Labels of the voxels that are nearest; 0 beyond the scan.

    Args:
        levels: Label volumes, [L, D, H, W].
        where: From `places`.

    Returns:
        In the type of `levels`, [L, S, S, S].
    """
    rows, inside = torch.zeros_like(where[0], dtype=torch.long), torch.ones_like(where[0], dtype=torch.bool)
    for at, side in zip(where, levels.shape[1:], strict=True):
        index = at.round().long()
        inside &= (index >= 0) & (index < side)
        rows = rows * side + index.clamp_(0, side - 1)
    return levels.flatten(1).index_select(1, rows.reshape(-1)).view(len(levels), *rows.shape) * inside


def recoloured(image: Tensor, config: ViewConfig, generator: torch.Generator, noise_source: torch.Generator) -> Tensor:
    """Change the grey values of a z-scored crop, [S, S, S], as MASS does (released code, augmentation of pretraining).

    Args:
        image: float32.
        config: How much.
        generator: Of the choices, on the processor, so that none waits for the device.
        noise_source: Of the noise, on the device.
    """

    def happens() -> bool:
        return float(torch.rand(1, generator=generator)) < config.share

    if happens():
        image = image * _between(*config.brightness, generator)
    if happens():
        image = image + config.shift * float(torch.randn(1, generator=generator))
    if happens():
        low, high = image.min(), image.max()
        spread = (high - low).clamp(min=1e-6)
        image = ((image - low) / spread) ** _between(*config.gamma, generator) * spread + low
    if happens():
        middle = image.mean()
        changed = (image - middle) * _between(*config.contrast, generator) + middle
        image = torch.minimum(torch.maximum(changed, image.min()), image.max())
    if happens():
        image = _blurred(image, _between(*config.blur, generator))
    if happens():
        noise = torch.randn(image.shape, generator=noise_source, device=image.device)
        image = image + noise * (config.noise * float(torch.rand(1, generator=generator)))
    return image


def _neighbours(at: Tensor, side: int) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """The voxels below and above a place along one axis, and their weights, 0 where there is no such voxel."""
    low = at.floor()
    above = at - low
    index = low.long()
    indices = index.clamp(0, side - 1), (index + 1).clamp(0, side - 1)
    weights = (1 - above) * ((index >= 0) & (index < side)), above * ((index >= -1) & (index < side - 1))
    return indices, weights


def _blurred(image: Tensor, sigma: float) -> Tensor:
    radius = max(1, math.ceil(3 * sigma))
    steps = torch.arange(-radius, radius + 1, device=image.device, dtype=image.dtype)
    kernel = torch.exp(-0.5 * (steps / sigma) ** 2)
    kernel = kernel / kernel.sum()
    for axis in range(3):
        # As rows of a matrix: a convolution along one axis is fast on a processor, too.
        moved = image.movedim(axis, -1)
        rows = functional.pad(moved.reshape(-1, 1, moved.shape[-1]), (radius, radius), mode="replicate")
        image = functional.conv1d(rows, kernel[None, None]).view(moved.shape).movedim(-1, axis)
    return image


def _between(low: float, high: float, generator: torch.Generator) -> float:
    return low + (high - low) * float(torch.rand(1, generator=generator))
