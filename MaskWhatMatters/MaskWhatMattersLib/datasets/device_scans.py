"""Scans that live on the training device as bytes; patches are cut, turned and recoloured there."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from torch.nn import functional

_ROOM = 1.3
"""Side of the region that is read before a free rotation or zoom, in patch sides; corners beyond it repeat the edge."""


class PatchAugmentConfig(BaseModel):
    """How much patches change; every change is drawn anew for each patch.

    The defaults are those of the published left atrium protocol: quarter turns and flips in the axial plane, nothing
    else. Flips turn left into right, which no patient is; other scanners are better met by the other changes.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    quarter_turns: bool = Field(True, description="Turn by a multiple of 90 degrees in the last two axes.")
    flips: bool = Field(True, description="Flip each of the last two axes half of the time.")
    rotation_deg: float = Field(
        0.0, ge=0, le=180, description="Largest rotation in the last two axes; half about others."
    )
    zoom: float = Field(
        1.0, ge=1, le=1.25, description="Largest factor of size, up and down, and a third of it per axis."
    )
    gamma: float = Field(0.0, ge=0, le=1, description="Largest change of the logarithm of gamma.")
    contrast: float = Field(0.0, ge=0, lt=1, description="Largest relative change of contrast.")
    brightness: float = Field(0.0, ge=0, description="Largest shift, in standard deviations of the scan.")
    bias_field: float = Field(0.0, ge=0, lt=1, description="Largest relative change of intensity across the patch.")
    noise: float = Field(0.0, ge=0, description="Largest standard deviation of added noise, in those of the scan.")
    blur: float = Field(0.0, ge=0, le=1, description="Share of patches that lose resolution, by up to a factor 2.")

    @property
    def moves_freely(self) -> bool:
        """Whether voxels have to be interpolated."""
        return self.rotation_deg > 0 or self.zoom > 1


class Patches(NamedTuple):
    """Patches and their labels.

    Attributes:
        images: z-scored with the mean and deviation of the whole scan, float32 [B, 1, *spatial].
        labels: Classes, long [B, *spatial]; 0 throughout where the scan has none.
    """

    images: Tensor
    labels: Tensor


class DeviceScans:
    """Prepared scans on one device; 80 left atria take 0.25 GB.

    Args:
        scans: uint8 [*spatial] each, 2D or 3D; sizes may differ.
        label_maps: uint8 [*spatial] each, or None.
        device: Where they live and patches are made.
    """

    def __init__(
        self, scans: Sequence[Tensor], label_maps: Sequence[Tensor | None], device: torch.device | str = "cpu"
    ) -> None:
        self.device = torch.device(device)
        self.scans = [scan.to(self.device) for scan in scans]
        self.label_maps = [None if labels is None else labels.to(self.device) for labels in label_maps]
        self.means = [scan.float().mean() for scan in self.scans]
        self.deviations = [scan.float().std(correction=0).clamp(min=1e-3) for scan in self.scans]

    def __len__(self) -> int:
        return len(self.scans)

    def patches(
        self,
        indices: Sequence[int],
        size: Sequence[int],
        augment: PatchAugmentConfig,
        seed: int,
        *,
        label_type: torch.dtype = torch.long,
    ) -> Patches:
        """One patch of each scan named, a pure function of the arguments.

        Scans smaller than the patch are padded with their mean, which becomes 0. Bytes are cut, turned and gathered
        before they become floats, all at once; nothing waits for the device.

        Args:
            indices: Which scans, [B].
            size: Voxels along the spatial axes.
            augment: How much patches change.
            seed: Of every random choice.
            label_type: Of the labels; losses over classes need long, marks are better left as they are stored.
        """
        generator = torch.Generator().manual_seed(seed)
        noise_source = torch.Generator(self.device).manual_seed(seed)
        room = [math.ceil(side * _ROOM) for side in size] if augment.moves_freely else list(size)
        cuts = [self._cut(index, room, augment, generator) for index in indices]
        labels = torch.stack([cut.labels for cut in cuts])
        each = (len(cuts), *[1] * len(room))
        images = torch.stack([cut.image for cut in cuts]).float()
        images.sub_(torch.stack([self.means[index] for index in indices]).view(each))
        images.div_(torch.stack([self.deviations[index] for index in indices]).view(each))
        for image, cut in zip(images, cuts, strict=True):
            if cut.inside is not None:
                image *= cut.inside
        images = images[:, None]
        if augment.moves_freely:
            images, labels = _move(images, labels, size, augment, generator)
        return Patches(_recolour(images, augment, generator, noise_source), labels.to(label_type))

    def _cut(self, index: int, size: Sequence[int], augment: PatchAugmentConfig, generator: torch.Generator) -> _Cut:
        """A random box of one scan, turned and flipped."""
        turns = _draw(4, generator) if augment.quarter_turns else 0
        flipped = [axis for axis in (-2, -1) if augment.flips and _draw(2, generator)]
        read = list(size) if turns % 2 == 0 else [*size[:-2], size[-1], size[-2]]
        scan, label_map = self.scans[index], self.label_maps[index]
        pads, box = [], []
        for side, wanted in zip(scan.shape, read, strict=True):
            missing = max(0, wanted - side)
            pads.append((missing // 2, missing - missing // 2))
            start = _draw(max(1, side - wanted + 1), generator)
            box.append(slice(start, start + wanted))
        around = list(itertools.chain.from_iterable(reversed(pads)))

        def placed(values: Tensor) -> Tensor:
            if any(around):
                values = functional.pad(values, around)
            if turns:
                values = torch.rot90(values, turns, (-2, -1))
            return values.flip(flipped) if flipped else values

        image = scan[tuple(box)]
        labels = torch.zeros_like(image) if label_map is None else label_map[tuple(box)]
        inside = placed(torch.ones_like(image)) if any(around) else None
        return _Cut(placed(image), placed(labels), inside)


class _Cut(NamedTuple):
    """Bytes of one patch: grey values, labels and, where it leaves the scan, 1 inside of it; uint8 [*size]."""

    image: Tensor
    labels: Tensor
    inside: Tensor | None


def _draw(count: int, generator: torch.Generator) -> int:
    return int(torch.randint(count, (1,), generator=generator))


def _uniform(limit: float, shape: Sequence[int], generator: torch.Generator) -> Tensor:
    return (2 * torch.rand(*shape, generator=generator) - 1) * limit


def _move(
    images: Tensor, labels: Tensor, size: Sequence[int], augment: PatchAugmentConfig, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Rotate and zoom about the centre while cutting [B, 1, *room] down to [B, 1, *size]."""
    batch, dims = len(images), images.ndim - 2
    extents = torch.tensor(size, dtype=torch.float32).flip(0)  # grid_sample counts x first
    room = torch.tensor(images.shape[2:], dtype=torch.float32).flip(0)
    matrix = torch.eye(dims).repeat(batch, 1, 1)
    limit = math.radians(augment.rotation_deg)
    for first, second in itertools.combinations(range(dims), 2):
        angle = _uniform(limit if (first, second) == (0, 1) else limit / 2, (batch,), generator)
        turn = torch.eye(dims).repeat(batch, 1, 1)
        turn[:, first, first] = turn[:, second, second] = angle.cos()
        turn[:, first, second], turn[:, second, first] = -angle.sin(), angle.sin()
        matrix = matrix @ turn
    log_zoom = math.log(augment.zoom)
    zoom = _uniform(log_zoom, (batch, 1), generator) + _uniform(log_zoom / 3, (batch, dims), generator)
    # From patch coordinates (-1..1 over `size`) through voxels to room coordinates (-1..1 over `room`).
    matrix = matrix * zoom.exp()[:, :, None] * extents / room[:, None]
    affine = torch.cat([matrix, torch.zeros(batch, dims, 1)], dim=2).to(images.device, non_blocking=True)
    grid = functional.affine_grid(affine, [batch, 1, *size], align_corners=False)
    moved = functional.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)
    moved_labels = functional.grid_sample(
        labels[:, None].float(), grid, mode="nearest", padding_mode="border", align_corners=False
    )
    return moved, moved_labels[:, 0].round().to(labels.dtype)


def _recolour(
    images: Tensor, augment: PatchAugmentConfig, generator: torch.Generator, noise_source: torch.Generator
) -> Tensor:
    """Change resolution, gamma, contrast, brightness, shading and noise of z-scored patches, [B, 1, *spatial]."""
    batch, dims = len(images), images.ndim - 2

    def each(limit: float) -> Tensor:
        return _uniform(limit, (batch, 1, *[1] * dims), generator).to(images.device, non_blocking=True)

    if augment.blur:
        mode = "trilinear" if dims == 3 else "bilinear"
        factors = 0.5 + 0.5 * torch.rand(batch, dims, generator=generator)
        chosen = torch.rand(batch, generator=generator) < augment.blur
        for index in chosen.nonzero().flatten().tolist():
            coarse = [max(2, round(side * float(f))) for side, f in zip(images.shape[2:], factors[index], strict=True)]
            small = functional.interpolate(images[index, None], coarse, mode="area")
            images[index] = functional.interpolate(small, images.shape[2:], mode=mode)[0]
    if augment.gamma:
        low = images.amin(tuple(range(1, images.ndim)), keepdim=True)
        span = (images.amax(tuple(range(1, images.ndim)), keepdim=True) - low).clamp(min=1e-3)
        images = ((images - low) / span).clamp(min=1e-4) ** each(augment.gamma).exp() * span + low
    if augment.contrast or augment.brightness:
        images = images * (1 + each(augment.contrast)) + each(augment.brightness)
    if augment.bias_field:
        for axis in range(2, images.ndim):
            shape = [images.shape[axis] if each_axis == axis else 1 for each_axis in range(images.ndim)]
            ramp = torch.linspace(-1, 1, images.shape[axis], device=images.device).reshape(shape)
            images = images * (1 + each(augment.bias_field) * ramp)
    if augment.noise:
        noise = torch.randn(images.shape, generator=noise_source, device=images.device)
        images = images + noise * each(augment.noise).abs()
    return images
