"""Made-up left atria with known truth, and tiny models that find them, for tests without real scans or weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from MaskWhatMattersLib.corn.network import ARCHITECTURE, CornNetwork, CornNetworkConfig
from MaskWhatMattersLib.corn.preprocessing import ScanPreprocessing
from MaskWhatMattersLib.models import Code, Label, ModelCard, TrainingData, save_model
from MaskWhatMattersLib.networks.vnet import VNet, VNetConfig
from MaskWhatMattersLib.volumes import Volume, to_ras, write_volume

_LABEL = Label(
    value=1,
    name="left atrium",
    category=Code(scheme="SCT", value="123037004", meaning="Anatomical Structure"),
    type=Code(scheme="SCT", value="82471001", meaning="Left atrium"),
)
_BRIGHT = 1.6  # z-score above which the tiny models see blood; the atrium is at about 2 to 4


def atrium_scan(
    seed: int,
    shape: tuple[int, int, int] = (20, 28, 32),
    spacing_mm: float | tuple[float, float, float] = 2.0,
    affine: NDArray[np.float64] | None = None,
) -> tuple[Volume, Volume]:
    """A bright blob with four tubes in noise, and its label map.

    Args:
        seed: Another place, size and noise for each.
        shape: D, H, W.
        spacing_mm: One number, or three for i, j and k; not used with an affine.
        affine: Voxel to RAS mm; axes L, P, S when None, as in the scans of the 2018 challenge.

    Returns:
        Image (int16, MR) and label map (uint8, 0 and 1) on one grid.
    """
    random = np.random.default_rng(seed)
    if affine is None:
        i_mm, j_mm, k_mm = np.broadcast_to(spacing_mm, 3)
        affine = np.diag([-i_mm, -j_mm, k_mm, 1.0])
    k, j, i = np.indices(shape)
    position = to_ras(np.stack([i, j, k], axis=-1), affine)
    extent = np.array(shape[::-1]) * np.linalg.norm(affine[:3, :3], axis=0)
    middle = to_ras((np.array(shape[::-1]) - 1) / 2, affine)
    radius = min(24.0, 0.27 * float(extent.min())) * random.uniform(0.9, 1.1)
    offset = position - (middle + random.uniform(-0.12, 0.12, 3) * radius)
    atrium = ((offset / (radius * np.array([1.2, 0.9, 1.0]))) ** 2).sum(-1) < 1
    for side in (-1, 1):
        for height in (-0.35, 0.35):  # pulmonary veins leave to both sides, two on each
            off_axis = np.hypot(offset[..., 1], offset[..., 2] - height * radius)
            along = side * offset[..., 0]
            atrium |= (off_axis < 0.22 * radius) & (along > 0) & (along < 1.6 * radius)
    array = 200 + 25 * random.standard_normal(shape) + 500 * atrium
    image = Volume(array.astype(np.int16)[None], affine, name=f"scan{seed}", modality="MR")
    return image, Volume(atrium.astype(np.uint8)[None], affine, name=f"scan{seed}")


def write_atrium_folder(folder: Path, count: int, shape: tuple[int, int, int] = (20, 28, 32)) -> Path:
    """`count` scans as images/scanN.nii.gz and labels/scanN.nii.gz; returns the folder."""
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for seed in range(count):
        image, label_map = atrium_scan(seed, shape)
        write_volume(image, folder / "images" / f"scan{seed}.nii.gz")
        write_volume(label_map, folder / "labels" / f"scan{seed}.nii.gz")
    return folder


def save_tiny_atrium_model(
    folder: Path, name: str = "left-atrium", *, spacing_mm: float = 2.0, width: int = 2, version: str = "0.0.1"
) -> Path:
    """A pair of V-Nets of two levels that sees bright things; returns the .safetensors file."""
    torch.manual_seed(0)
    network = CornNetwork(CornNetworkConfig(width=width, depth=2)).eval()
    _see_bright(network.main, _BRIGHT)
    _see_bright(network.auxiliary, _BRIGHT + 0.1)
    config = network.config.model_dump(mode="json")
    return _save(network, ARCHITECTURE, config, folder, name, version, ScanPreprocessing(spacing_mm=spacing_mm))


def save_tiny_finder(folder: Path, name: str = "left-atrium-finder", *, spacing_mm: float = 2.5) -> Path:
    """A V-Net of two levels that sees bright things; returns the .safetensors file."""
    torch.manual_seed(0)
    network = VNet(VNetConfig(width=2, depth=2)).eval()
    _see_bright(network, _BRIGHT)
    config = network.config.model_dump(mode="json")
    settings = ScanPreprocessing(spacing_mm=spacing_mm)
    return _save(network, "atrium-finder-vnet", config, folder, name, "0.0.1", settings)


def _save(
    network: nn.Module,
    architecture: str,
    config: dict[str, object],
    folder: Path,
    name: str,
    version: str,
    settings: ScanPreprocessing,
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    card = ModelCard(
        name=name,
        version=version,
        description="Tiny network that sees bright things; for tests.",
        architecture=architecture,
        config=config,
        preprocessing=settings.model_dump(mode="json"),
        labels=(_LABEL,),
        training_data=(TrainingData(name="made up", licence="none", research_only=True),),
        licence="for tests",
        research_only=True,
    )
    save_model(network.state_dict(), card, folder / f"{name}.safetensors")
    return folder / f"{name}.safetensors"


def _see_bright(network: VNet, threshold: float) -> None:
    """Set the weights so that a voxel is foreground where the mean of its 27 neighbours exceeds a z-score."""
    with torch.no_grad():
        first, last = network.encoder[0][0][0], network.decoder[-1][0][0]
        for convolution in (first, last):
            convolution.weight.zero_()
            convolution.bias.zero_()
        first.weight[0, 0] = 1.0 / first.weight[0, 0].numel()
        last.weight[0, 0, 1, 1, 1] = 1.0
        for module in network.up.modules():  # nothing comes from the deeper level
            if isinstance(module, nn.Conv3d | nn.ConvTranspose3d):
                module.weight.zero_()
                module.bias.zero_()
        network.head.weight.zero_()
        network.head.weight[1, 0] = 6.0
        network.head.bias.copy_(torch.tensor([0.0, -6.0 * threshold]))
