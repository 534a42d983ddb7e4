"""Trains the small network that finds the atrium in a full field of view; what it finds is segmented afterwards."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from torch.nn import functional

from MaskWhatMattersLib.corn.cards import FINDER_ARCHITECTURE, LABELS, left_atrium_data
from MaskWhatMattersLib.corn.preprocessing import ScanPreprocessing, prepare_label_map, prepare_scan
from MaskWhatMattersLib.corn.presets import OTHER_SCANNERS
from MaskWhatMattersLib.corn.surroundings import embed
from MaskWhatMattersLib.datasets.device_scans import DeviceScans, PatchAugmentConfig
from MaskWhatMattersLib.datasets.manifest import read_manifest
from MaskWhatMattersLib.models import ModelCard, save_model
from MaskWhatMattersLib.networks.devices import torch_device
from MaskWhatMattersLib.networks.vnet import VNet, VNetConfig
from MaskWhatMattersLib.progress import PrintedProgress, Progress
from MaskWhatMattersLib.training.engine import (
    AveragedWeights,
    TrainingLog,
    due,
    load_checkpoint,
    save_checkpoint,
    step_seed,
)
from MaskWhatMattersLib.volumes import read_volume


class FinderTrainingConfig(BaseModel):
    """Settings of the finder's training."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    network: VNetConfig = Field(VNetConfig(width=8, depth=4, dropout=0.0), description="Shape of the network.")
    preprocessing: ScanPreprocessing = Field(ScanPreprocessing(spacing_mm=2.5), description="What happens to scans.")
    augment: PatchAugmentConfig = Field(
        PatchAugmentConfig(**{**OTHER_SCANNERS, "zoom": 1.2}), description="How patches change."
    )
    patch_size: tuple[int, int, int] = Field((24, 96, 96), description="Voxels, D, H, W.")
    surroundings: int = Field(4, ge=1, description="Made-up fields of view per scan.")
    largest: tuple[int, int, int] = Field((32, 144, 144), description="Largest field of view, voxels.")
    batch: int = Field(2, ge=1, description="Patches per step.")
    steps: int = Field(1500, ge=1, description="Optimizer steps.")
    learning_rate: float = Field(0.02, gt=0, description="Of stochastic gradient descent, falling to 0.")
    average: float = Field(0.99, ge=0, lt=1, description="Decay of the averaged weights that are kept.")
    seed: int = Field(0, ge=0, description="Of everything random.")
    save_every: int = Field(100, ge=1, description="Steps between checkpoints.")


def train_finder(config: FinderTrainingConfig, data: Path, folder: Path, progress: Progress, device: str) -> VNet:
    """Train, resuming where the folder left off.

    Args:
        config: Settings.
        data: Folder with MANIFEST.csv; its left_atrium training cases are used.
        folder: Gets the checkpoint and log.csv.
        progress: Told of every step.
        device: "auto", "cpu" or "cuda".

    Returns:
        The network with its averaged weights, in eval mode.
    """
    # bf16 is exact enough for a bounding box and several times faster, also on recent processors.
    fabric = Fabric(accelerator=torch_device(device).type, devices=1, precision="bf16-mixed")
    fabric.seed_everything(config.seed, verbose=False)
    scans = surrounded_scans(config, data, progress, fabric.device)
    network = VNet(config.network).to(fabric.device)
    averaged = AveragedWeights(network, config.average)
    optimizer = torch.optim.SGD(network.parameters(), lr=config.learning_rate, momentum=0.9, weight_decay=1e-4)
    model, optimizer = fabric.setup(network, optimizer)
    settings = config.model_dump(mode="json")
    state: dict[str, Any] = {"model": model, "optimizer": optimizer, "averaged": averaged, "step": 0}
    state["config"] = settings
    load_checkpoint(fabric, state, folder)
    log = TrainingLog(folder, state["step"])
    progress.stage("Training the finder", total=config.steps - state["step"])
    while state["step"] < config.steps:
        seed = step_seed(config.seed, 0, state["step"])
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * (1 - state["step"] / config.steps) ** 0.9
        generator = torch.Generator().manual_seed(seed)
        chosen = torch.randint(len(scans), (config.batch,), generator=generator).tolist()
        # A seed of its own: with the step's, one random number would choose a scan and how it is turned.
        of_patches = int(torch.randint(2**62, (1,), generator=generator))
        patches = scans.patches(chosen, config.patch_size, config.augment, of_patches)
        loss = overlap_loss(model(patches.images).logits.float(), patches.labels)
        fabric.backward(loss)
        optimizer.step()
        optimizer.zero_grad()
        state["step"] += 1
        averaged.update(network, state["step"])
        if due(state["step"], 10):
            log.write(state["step"], {"loss": float(loss.detach())})
        if due(state["step"], config.save_every) or state["step"] == config.steps:
            save_checkpoint(fabric, state, folder)
        progress.step(message=f"loss {float(loss.detach()):.3f}")
    network.load_state_dict(averaged.state_dict())
    return network.eval()


def overlap_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross entropy and soft Dice over the batch; the atrium is a hundredth of a full field of view.

    Args:
        logits: [B, 2, *spatial].
        labels: long [B, *spatial].
    """
    probability, truth = logits.softmax(1)[:, 1], labels.float()
    dice = 1 - (2 * (probability * truth).sum() + 1) / (probability.sum() + truth.sum() + 1)
    return functional.cross_entropy(logits, labels) + dice


def surrounded_scans(
    config: FinderTrainingConfig, data: Path, progress: Progress, device: torch.device, split: str = "train"
) -> DeviceScans:
    """Every scan of a split in several made-up fields of view of different size."""
    rows = [row for row in read_manifest(data) if row.dataset == "left_atrium" and row.split == split]
    progress.stage("Making surroundings", len(rows))
    random = np.random.default_rng(config.seed)
    images: list[Tensor] = []
    label_maps: list[Tensor | None] = []
    for row in rows:
        scan = prepare_scan(read_volume(row.image), config.preprocessing)
        truth = prepare_label_map(read_volume(str(row.label_map)), scan, config.preprocessing)
        for _ in range(config.surroundings):
            shape = [
                int(random.integers(own, max(own, largest) + 1))
                for own, largest in zip(scan.spatial_shape, config.largest, strict=True)
            ]
            image, labels, _ = embed(scan.array[0], truth.array[0], shape, random)
            images.append(torch.from_numpy(image))
            label_maps.append(torch.from_numpy(labels))
        progress.step()
    return DeviceScans(images, label_maps, device)


def finder_card(config: FinderTrainingConfig, version: str, cases: int, name: str = "left-atrium-finder") -> ModelCard:
    """The card of a finder that was trained on the left atrium set."""
    return ModelCard(
        name=name,
        version=version,
        description="Finds the left atrium in a full field of view, coarsely. Not for clinical use.",
        architecture=FINDER_ARCHITECTURE,
        config=config.network.model_dump(mode="json"),
        preprocessing=config.preprocessing.model_dump(mode="json"),
        labels=LABELS,
        training_data=(left_atrium_data(cases),),
        licence="Research use only",
        research_only=True,
    )


def main() -> None:
    """Command line of the finder's training."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with MANIFEST.csv")
    parser.add_argument("--output", type=Path, required=True, help="checkpoint and log; an existing one is resumed")
    parser.add_argument("--steps", type=int, default=FinderTrainingConfig().steps)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--version", default="0.1.0")
    arguments = parser.parse_args()
    config = FinderTrainingConfig(steps=arguments.steps)
    network = train_finder(config, arguments.data, arguments.output, PrintedProgress(), arguments.device)
    cases = sum(row.dataset == "left_atrium" and row.split == "train" for row in read_manifest(arguments.data))
    card = finder_card(config, arguments.version, cases)
    save_model(network.state_dict(), card, arguments.output / f"{card.name}.safetensors")


if __name__ == "__main__":
    main()
