"""Made-up pictures of two classes, and the settings of a training on them that takes a second."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from MaskWhatMattersLib.datasets.image_cases import ImageCase, ImageCases, Split
from MaskWhatMattersLib.volumes import Volume

CLASSES = ("plain", "striped")
TINY: dict[str, Any] = {
    "encoder": {"kind": "residual", "spatial_dims": 2, "widths": [4, 8], "blocks": [1, 1]},
    "preprocessing": {"spatial_dims": 2, "longest_side": 16},
    "size": [16, 16],
    "batch_size": 4,
    "steps": 6,
    "learning_rate": 0.01,
    "log_every": 1,
    "validate_every": 3,
    "save_every": 2,
}
TINY_TOML = """
size = [16, 16]
batch_size = 4
steps = 6
learning_rate = 0.01
log_every = 1
validate_every = 3
save_every = 2
[encoder]
kind = "residual"
spatial_dims = 2
widths = [4, 8]
blocks = [1, 1]
[preprocessing]
spatial_dims = 2
longest_side = 16
"""


def pixels(class_name: str, seed: int, side: int = 16) -> NDArray[np.float32]:
    """Noise, with bright rows in the class "striped", [side, side]."""
    array = np.random.default_rng(seed).normal(100, 15, (side, side))
    if class_name == "striped":
        array[::4] += 80
    return array.clip(0, 255).astype(np.float32)


def class_cases(splits: tuple[Split, ...] = ("train", "train", "train", "val", "val")) -> ImageCases:
    """One picture of each class per split named, each of a patient of his own."""
    cases = []
    for number, split in enumerate(splits):
        for class_name in CLASSES:
            name = f"{class_name}{number}"
            array = pixels(class_name, seed=number)[None, None]
            image = Volume(array, np.diag([-1.0, -1.0, 1.0, 1.0]), name=name, has_physical_scale=False)
            cases.append(ImageCase(name, image, patient=name, split=split, class_name=class_name))
    return ImageCases(tuple(cases))


def write_class_folder(folder: Path, per_class: int = 5) -> Path:
    """A folder per class of PNG files; returns the folder."""
    from PIL import Image

    for class_name in CLASSES:
        (folder / class_name).mkdir(parents=True)
        for number in range(per_class):
            picture = Image.fromarray(pixels(class_name, seed=number).astype(np.uint8))
            picture.save(folder / class_name / f"{class_name}{number}.png")
    return folder
