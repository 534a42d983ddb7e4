"""Made-up bodies with five organs that differ between subjects in place, size, shape and brightness; truth known.

Copying the label map of one subject to another gives a Dice of 0.28 (mean over organs and ten subjects, 32^3).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from MaskWhatMattersLib.volumes import Volume, write_volume

Points = NDArray[np.float64]


@dataclass(frozen=True)
class Organ:
    """An ellipsoid; places and radii in half fields of view: x to the right, y forward, z up, -1 to 1."""

    name: str
    centre: tuple[float, float, float]
    radii: tuple[float, float, float]
    brightness: float


ORGANS = (
    Organ("liver", (0.34, 0.05, 0.24), (0.34, 0.44, 0.30), 175.0),
    Organ("spleen", (-0.46, -0.20, 0.34), (0.20, 0.26, 0.24), 215.0),
    Organ("bladder", (0.0, 0.30, -0.48), (0.26, 0.24, 0.18), 255.0),
    Organ("kidney", (-0.32, -0.28, -0.22), (0.17, 0.18, 0.24), 135.0),
    Organ("aorta", (0.04, -0.40, 0.0), (0.10, 0.11, 0.50), 40.0),
)
"""Label 1 and so on; where organs meet, the later one wins."""

NAMES = {value: organ.name for value, organ in enumerate(ORGANS, 1)}
_BODY = (0.82, 0.74, 0.90)
_TISSUE = 90.0


def organ_subject(
    seed: int,
    shape: tuple[int, int, int] = (32, 32, 32),
    spacing_mm: tuple[float, float, float] = (4.0, 4.0, 4.0),
    organs: tuple[Organ, ...] = ORGANS,
    *,
    black_air: bool = False,
) -> tuple[Volume, Volume]:
    """One subject. Organs move on their own, so that no affine map of the whole body makes two subjects alike.

    Args:
        seed: Another subject for each; the same one always, and the same one in any shape.
        shape: D, H, W.
        spacing_mm: Along i, j, k; axes R, A, S, origin 0.
        organs: What is inside.
        black_air: Without noise beside the body, where it would be taken for something by a look for masks.

    Returns:
        Image (int16, MR) and label map (uint8, `NAMES`) on one grid.
    """
    subject = np.random.default_rng([seed, 1])
    points = _points(shape)
    points = (points - subject.normal(0, 0.05, 3)) / subject.uniform(0.85, 1.1, 3)
    points = points + _smooth_field(subject, shape, 0.05)
    body = ((points / _BODY) ** 2).sum(-1) < 1
    labels = np.zeros(shape, np.uint8)
    brightness = np.where(body, _TISSUE, 0.0)
    for value, organ in enumerate(organs, 1):
        inside = body & _inside(points, organ, subject)
        labels[inside] = value
        brightness[inside] = organ.brightness * subject.uniform(0.92, 1.08)
    shading = 1 + _smooth_field(subject, shape, 0.08)[..., 0]
    noise = np.random.default_rng([seed, 2]).standard_normal(shape)
    array = gaussian_filter(brightness * shading, 0.5) * subject.uniform(0.8, 1.3) + 8 * noise * (
        body if black_air else 1
    )
    affine = np.diag([*spacing_mm, 1.0])
    image = Volume(np.rint(array).astype(np.int16)[None], affine, name=f"subject{seed}", modality="MR")
    return image, Volume(labels[None], affine, name=f"subject{seed}")


def write_subjects(
    folder: Path, count: int, shape: tuple[int, int, int] = (32, 32, 32), *, first: int = 0, labelled: bool = True
) -> Path:
    """`count` subjects as images/subjectN.nii.gz and, where labelled, labels/subjectN.nii.gz; returns the folder."""
    for seed in range(first, first + count):
        for part, volume in zip(("images", "labels"), organ_subject(seed, shape), strict=True):
            if part == "images" or labelled:
                (folder / part).mkdir(parents=True, exist_ok=True)
                write_volume(volume, folder / part / f"{volume.name}.nii.gz")
    return folder


def dice_per_label(found: NDArray[np.integer], truth: NDArray[np.integer]) -> NDArray[np.float64]:
    """Dice of each organ, [5], 0 to 1."""
    pairs = [(found == value, truth == value) for value in NAMES]
    return np.array([2 * (one & other).sum() / max(1, one.sum() + other.sum()) for one, other in pairs])


def _points(shape: tuple[int, int, int]) -> Points:
    """Place of each voxel centre in half fields of view, x, y, z last: [D, H, W, 3]."""
    k, j, i = np.indices(shape)
    return np.stack([(2 * index + 1) / side - 1 for index, side in zip((i, j, k), shape[::-1], strict=True)], axis=-1)


def _inside(points: Points, organ: Organ, subject: np.random.Generator) -> NDArray[np.bool_]:
    """Voxels of an organ that has moved, grown and turned."""
    place = np.array(organ.centre) + subject.normal(0, 0.09, 3)
    radii = np.array(organ.radii) * subject.uniform(0.8, 1.25, 3)
    turn, _ = np.linalg.qr(np.eye(3) + subject.normal(0, 0.15, 3)[:, None] * subject.normal(0, 1, (3, 3)))
    turn *= np.sign(np.diag(turn))
    return np.asarray(((((points - place) @ turn) / radii) ** 2).sum(-1) < 1)


def _smooth_field(random: np.random.Generator, shape: tuple[int, int, int], amount: float) -> Points:
    """Three random numbers that change slowly over the field of view, [D, H, W, 3]; `amount` is their deviation."""
    waves = np.arange(4)
    strengths = random.normal(0, amount, (4, 4, 4, 3)) / 4
    bases = [np.cos(np.pi * np.outer((np.arange(side) + 0.5) / side, waves)) for side in shape]
    return np.einsum("za,yb,xc,abcn->zyxn", *bases, strengths, optimize=True)
