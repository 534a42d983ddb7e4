"""Made-up images with known labels, for tests of finetuning."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from MaskWhatMattersLib.datasets.image_cases import ImageCase, ImageCases, Split
from MaskWhatMattersLib.datasets.image_preprocessing import ImagePreprocessing
from MaskWhatMattersLib.finetuning.config import FinetuneConfig, HeadConfig
from MaskWhatMattersLib.finetuning.tasks import Task
from MaskWhatMattersLib.models import ModelCard, save_model
from MaskWhatMattersLib.networks.encoders import ResidualEncoderConfig, ViTConfig
from MaskWhatMattersLib.volumes import Volume

SPLITS: tuple[Split, ...] = ("train", "train", "train", "val")


def square_picture(seed: int, *, side: int = 32, values: tuple[int, ...] = (1,)) -> tuple[Volume, Volume]:
    """Noise with one bright square per value, and the label map with these values."""
    random = np.random.default_rng(seed)
    array = 40 + 10 * random.standard_normal((1, 1, side, side))
    labels = np.zeros((1, 1, side, side), np.uint8)
    columns = np.linspace(0, side, len(values) + 1).astype(int)
    for place, value in enumerate(values):
        size = side // 4
        top = random.integers(0, side - size)
        left = columns[place] + random.integers(0, max(1, columns[place + 1] - columns[place] - size))
        box = (0, 0, slice(top, top + size), slice(left, left + size))
        array[box] += 120 + 60 * place
        labels[box] = value
    affine = np.diag([-1.0, -1.0, 1.0, 1.0])
    return (
        Volume(array.astype(np.float32), affine, name=f"picture{seed}", has_physical_scale=False),
        Volume(labels, affine, has_physical_scale=False),
    )


def square_volume(seed: int, *, shape: tuple[int, int, int] = (16, 16, 16)) -> tuple[Volume, Volume]:
    """Noise with one bright cube, label 1, and its label map; 1 mm voxels, axes R, A, S."""
    random = np.random.default_rng(seed)
    array = 40 + 10 * random.standard_normal((1, *shape))
    labels = np.zeros((1, *shape), np.uint8)
    corner = [int(random.integers(0, side - side // 2)) for side in shape]
    box = (0, *(slice(start, start + side // 2) for start, side in zip(corner, shape, strict=True)))
    array[box] += 120
    labels[box] = 1
    return Volume(array.astype(np.float32), np.eye(4), name=f"volume{seed}"), Volume(labels, np.eye(4))


def picture_cases(splits: tuple[Split, ...] = SPLITS, **options: object) -> ImageCases:
    """Pictures of squares, one patient each."""
    pairs = [square_picture(seed, **options) for seed in range(len(splits))]  # type: ignore[arg-type]
    return _cases(pairs, splits)


def volume_cases(splits: tuple[Split, ...] = SPLITS) -> ImageCases:
    """Volumes of cubes, one patient each."""
    return _cases([square_volume(seed) for seed in range(len(splits))], splits)


def small_config(dims: int = 2, kind: str = "residual", **changes: object) -> FinetuneConfig:
    """Settings of a tiny finetuning on images of 32 x 32 pixels or 16^3 voxels."""
    size = (32, 32) if dims == 2 else (16, 16, 16)
    encoder = (
        ResidualEncoderConfig(spatial_dims=dims, widths=(8, 16, 16), blocks=(1, 1, 1))
        if kind == "residual"
        else ViTConfig(spatial_dims=dims, image_size=size, patch_size=(8,) * dims, width=24, depth=4, heads=2)
    )
    preprocessing = ImagePreprocessing(spatial_dims=dims, longest_side=32, spacing_mm=(1.0, 1.0, 1.0))
    fields = {
        "encoder": encoder,
        "size": size,
        "preprocessing": preprocessing,
        "head": HeadConfig(features=4),
        **changes,
    }
    return FinetuneConfig(**fields)  # type: ignore[arg-type]


def _cases(pairs: list[tuple[Volume, Volume]], splits: tuple[Split, ...]) -> ImageCases:
    return ImageCases(
        tuple(
            ImageCase(image.name, image, patient=image.name, split=split, label_map=labels)
            for (image, labels), split in zip(pairs, splits, strict=True)
        )
    )


def train_few(task: Task, steps: int, learning_rate: float = 1e-2) -> list[float]:
    """Take some steps as a training does; the network is in eval mode afterwards. Returns the losses."""
    optimizer = torch.optim.AdamW(task.network.parameters(), lr=learning_rate)
    losses = []
    task.network.train()
    for step in range(steps):
        loss = task.loss(task.batch(step)).total
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    task.network.eval()
    return losses


def save_finetuned(task: Task, config: FinetuneConfig, folder: Path) -> Path:
    """The model file of a task, as a training writes it."""
    parts = task.card_parts()
    card = ModelCard(
        name="mine",
        version="1",
        architecture=parts.architecture,
        config=parts.config,
        preprocessing={"image": config.preprocessing.model_dump(mode="json"), "size": list(config.size)},
        labels=parts.labels,
        licence="your own data",
    )
    save_model(task.network.state_dict(), card, folder / "model.safetensors")
    return folder / "model.safetensors"
