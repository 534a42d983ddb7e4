"""Small made-up scans with known truth, for tests that must run without real data."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from PIL import Image

from MaskWhatMattersLib.volumes import Volume, write_volume


def head_ct(shape: tuple[int, int, int] = (40, 48, 56), spacing_mm: float = 4.0) -> Volume:
    """A body in HU with an air-filled left and right lung (the left one larger), axes L, P, S."""
    k, j, i = np.indices(shape)
    centre = (np.array(shape) - 1) / 2
    array = np.full(shape, -1000.0)
    body = ((j - centre[1]) / 20) ** 2 + ((i - centre[2]) / 25) ** 2 <= 1
    array[body] = 40
    in_chest = (k > 5) & (k < 30)
    for offset, radius in ((-11, 6.5), (11, 8.0)):
        lung = in_chest & ((((j - centre[1]) / 10) ** 2 + ((i - centre[2] - offset) / radius) ** 2) <= 1)
        array[lung] = -850
    windpipe = np.hypot(j - centre[1], i - centre[2]) < 1.5
    array[windpipe & (k > 8)] = -1000
    affine = np.diag([-spacing_mm, -spacing_mm, spacing_mm, 1.0])
    return Volume(array.astype(np.int16)[None], affine, name="chest", modality="CT")


def disc_volume(seed: int, *, present: bool = True, size: int = 24) -> tuple[Volume, Volume]:
    """MR-like noise with a bright ball, label 1, and its label map; 3 mm voxels, axes L, P, S."""
    random = np.random.default_rng(seed)
    k, j, i = np.indices((size // 2, size, size))
    centre = random.uniform(0.4, 0.6, 3) * (size // 2, size, size)
    ball = ((k - centre[0]) * 2) ** 2 + (j - centre[1]) ** 2 + (i - centre[2]) ** 2 < (size / 5) ** 2
    array = 200 + 20 * random.standard_normal(ball.shape) + 600 * (ball & present)
    affine = np.diag([-3.0, -3.0, 3.0, 1.0])
    labels = (ball & present).astype(np.uint8)
    return Volume(array.astype(np.int16)[None], affine, name=f"case{seed}"), Volume(labels[None], affine)


def write_data_folder(folder: Path, splits: tuple[str, ...] = ("train", "train", "train", "val")) -> Path:
    """A data folder with a manifest: atria as balls, X-ray lungs as two discs, tumours as boxes."""
    rows: list[dict[str, str]] = []

    def add(dataset: str, image: str, label_map: str, split: str, note: str = "image") -> None:
        rows.append(
            {"path": f"{dataset}/images/{image}", "dataset": dataset, "split": split, "modality": "", "label": note}
            | {"label_path": f"{dataset}/{label_map}" if label_map else ""}
        )

    for index, split in enumerate(splits):
        for dataset in ("left_atrium", "hippocampus_mr"):
            for part in ("images", "labels"):
                (folder / dataset / part).mkdir(parents=True, exist_ok=True)
            image, labels = disc_volume(index)
            write_volume(image, folder / dataset / "images" / f"{index}.nii.gz")
            write_volume(labels, folder / dataset / "labels" / f"{index}.nii.gz")
            add(dataset, f"{index}.nii.gz", f"labels/{index}.nii.gz", split)
        _write_picture(folder / "chest_xray_kermany_lungmask", f"{index}.png", index)
        add("chest_xray_kermany_lungmask", f"{index}.png", f"masks/{index}.png", split)
        _write_picture(folder / "brain_tumor_2d_figshare", f"{index}.png", index)
        note = "glioma; boxes(xc,yc,w,h)=[[0.5,0.5,0.25,0.5]]" if index % 2 else "no_tumor; boxes=[]"
        add("brain_tumor_2d_figshare", f"{index}.png", "", split, note)
    with (folder / "MANIFEST.csv").open("w", newline="", encoding="utf-8") as lines:
        writer = csv.DictWriter(lines, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return folder


def _write_picture(folder: Path, name: str, seed: int) -> None:
    """Two dark discs, left and right, in a bright picture of 48 x 64 pixels, and their mask."""
    random = np.random.default_rng(seed)
    j, i = np.indices((48, 64))
    lungs = (np.hypot(j - 24, i - 18) < 10) | (np.hypot(j - 24, i - 46) < 10)
    picture = np.where(lungs, 60, 180) + random.integers(-10, 10, lungs.shape)
    for part, array in (("images", picture), ("masks", lungs)):
        (folder / part).mkdir(parents=True, exist_ok=True)
        Image.fromarray(array.astype(np.uint8)).save(folder / part / name)
