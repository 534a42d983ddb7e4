"""The training loop of the left atrium networks: one loop, five methods that differ in their loss."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.nn import functional

from MaskWhatMattersLib.corn.batch import CornBatch
from MaskWhatMattersLib.corn.config import CornTrainingConfig
from MaskWhatMattersLib.corn.network import CornNetwork
from MaskWhatMattersLib.corn.objectives import Losses, Objective, make_objective
from MaskWhatMattersLib.corn.preprocessing import normalise, prepare_label_map, prepare_scan
from MaskWhatMattersLib.datasets.device_scans import DeviceScans
from MaskWhatMattersLib.datasets.training_cases import CornCases, TrainingCase, read_case
from MaskWhatMattersLib.errors import InputError, JobCancelledError
from MaskWhatMattersLib.networks.devices import torch_device
from MaskWhatMattersLib.progress import Progress, SilentProgress
from MaskWhatMattersLib.training.engine import (
    AveragedWeights,
    append_log,
    due,
    load_checkpoint,
    save_checkpoint,
    step_seed,
)

_TIMED_STEPS = 3


class CornTraining(nn.Module):
    """Network and objective as one module, so that one forward call is one step on any number of processes."""

    def __init__(self, config: CornTrainingConfig, labelled_scans: int) -> None:
        super().__init__()
        self.network = CornNetwork(config.network)
        self.objective: Objective = make_objective(config, labelled_scans)

    def forward(self, batch: CornBatch, step: int) -> Losses:
        """Losses of a batch."""
        losses: Losses = self.objective(self.network, batch, step)
        return losses


class CornScans:
    """Scans of one training on its device: the labelled first, then the unlabelled."""

    def __init__(self, config: CornTrainingConfig, cases: CornCases, progress: Progress, device: torch.device) -> None:
        unlabelled = cases.unlabelled if config.uses_unlabelled else ()
        if config.uses_unlabelled and not unlabelled:
            raise InputError(
                f"The mode {config.mode!r} learns from unlabelled scans too; found none. Add some, or use the mode "
                "'supervised'."
            )
        progress.stage("Reading scans", len(cases.labelled) + len(unlabelled) + len(cases.validation))
        self.config = config
        self.labelled = _load(cases.labelled, config, progress, device)
        self.unlabelled = _load(unlabelled, config, progress, device)
        self.validation = _load(cases.validation, config, progress, device)

    def batch(self, seed: int) -> CornBatch:
        """The batch that belongs to a seed; no scan twice in it where there are enough."""
        config = self.config
        generator = torch.Generator().manual_seed(seed)
        labelled = _choose(len(self.labelled), config.labelled_per_batch, generator)
        known = self.labelled.patches(labelled, config.patch_size, config.augment, seed)
        images, scan_ids = [known.images], list(labelled)
        if config.uses_unlabelled:
            unlabelled = _choose(len(self.unlabelled), config.unlabelled_per_batch, generator)
            images += [self.unlabelled.patches(unlabelled, config.patch_size, config.augment, seed + 1).images]
            scan_ids += [len(self.labelled) + index for index in unlabelled]
        return CornBatch(torch.cat(images), known.labels, torch.tensor(scan_ids, device=known.images.device))


def train(
    config: CornTrainingConfig,
    cases: CornCases,
    folder: Path,
    progress: Progress | None = None,
    device: str = "auto",
    *,
    start: dict[str, Tensor] | None = None,
) -> CornNetwork:
    """Train, resuming where the folder left off.

    Args:
        config: Settings.
        cases: Labelled, unlabelled and validation scans.
        folder: Gets the checkpoint and log.csv.
        progress: Told of every step; a cancel keeps the last step as a checkpoint.
        device: "auto", "cpu" or "cuda".
        start: Weights to start from, as of `CornNetwork.state_dict()`.

    Returns:
        The network with its final weights (averaged ones if `config.average`), in eval mode.

    Raises:
        InputError: Scans or settings that cannot be used, or a checkpoint that was made with other settings.
        JobCancelledError: The user asked to stop; the checkpoint holds every step done.
    """
    progress = progress or SilentProgress()
    fabric = Fabric(accelerator=device, devices=1, precision=_precision(config, device))
    fabric.seed_everything(config.seed, verbose=False)
    scans = CornScans(config, cases, progress, fabric.device)
    training = CornTraining(config, len(scans.labelled))
    if start is not None:
        training.network.load_state_dict(start)
    network = training.network
    averaged = AveragedWeights(network.to(fabric.device), config.average)
    if config.channels_last and config.network.spatial_dims == 3:
        network.to(memory_format=torch.channels_last_3d)
    optimizer = torch.optim.SGD(
        [weight for weight in training.parameters() if weight.requires_grad],
        lr=config.learning_rate,
        momentum=config.momentum,
        weight_decay=config.weight_decay,
    )
    module, optimizer = fabric.setup(training, optimizer)
    state: dict[str, Any] = {
        "module": module,
        "optimizer": optimizer,
        "averaged": averaged,
        "step": 0,
        "steps": config.steps,
        "seconds": 0.0,
        "config": config.model_dump(mode="json"),
    }
    load_checkpoint(fabric, state, folder)
    progress.stage("Training", total=state["steps"] - state["step"])
    module.train()
    began = time.monotonic() - state["seconds"]
    try:
        while state["step"] < state["steps"]:
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(config, state["step"], state["steps"])
            batch = scans.batch(step_seed(config.seed, fabric.global_rank, state["step"]))
            losses = module(batch, state["step"])
            fabric.backward(losses.total)
            optimizer.step()
            optimizer.zero_grad()
            state["step"] += 1
            state["seconds"] = time.monotonic() - began
            training.objective.after_step(network, state["step"])
            averaged.update(network, state["step"])
            is_last = state["step"] == state["steps"]
            if config.minutes is not None and state["step"] == _TIMED_STEPS:
                state["steps"] = steps_that_fit(config, state["seconds"] / _TIMED_STEPS)
                progress.stage("Training", total=state["steps"] - state["step"])
            if due(state["step"], config.log_every) or is_last:
                parts = {name: float(value) for name, value in losses.parts.items()}
                append_log(folder, {"step": state["step"], "loss": float(losses.total.detach()), **parts})
            if due(state["step"], config.validate_every) or is_last:
                scores = validate(network, averaged if config.average else None, scans.validation, config)
                progress.log(f"step {state['step']}: {scores}")
            if due(state["step"], config.save_every) or is_last:
                save_checkpoint(fabric, state, folder)
            progress.step(message=f"loss {float(losses.total.detach()):.3f}")
    except JobCancelledError:
        save_checkpoint(fabric, state, folder)
        raise
    if config.average:
        network.load_state_dict(averaged.state_dict())
    return network.eval()


def learning_rate(config: CornTrainingConfig, step: int, steps: int) -> float:
    """Learning rate of a step: linear warm-up, then constant or the polynomial (1 - step/steps)^0.9."""
    factor = min(1.0, (step + 1) / (config.warmup + 1))
    if config.schedule == "poly":
        factor *= (1 - step / steps) ** 0.9
    return config.learning_rate * factor


def steps_that_fit(config: CornTrainingConfig, step_s: float) -> int:
    """Steps for the budget in minutes, at most `config.steps`."""
    minutes = math.inf if config.minutes is None else config.minutes
    return max(_TIMED_STEPS, int(min(config.steps, 60 * minutes / step_s)))


@torch.inference_mode()
def validate(
    network: CornNetwork, averaged: AveragedWeights | None, scans: DeviceScans, config: CornTrainingConfig
) -> dict[str, float]:
    """Mean Dice of both branches over whole scans at the training's resolution; empty where there is none."""
    if not len(scans):
        return {}
    trained = {name: value.clone() for name, value in network.state_dict().items()}
    if averaged is not None:
        network.load_state_dict(averaged.state_dict())
    network.eval()
    scores: dict[str, list[float]] = {"dice": [], "dice_auxiliary": []}
    for scan, truth in zip(scans.scans, scans.label_maps, strict=True):
        if truth is None:
            continue
        output = network(_padded(normalise(scan), config.network.divisor)[None, None])
        inside = tuple(slice(0, side) for side in scan.shape)
        for name, branch in zip(scores, output, strict=True):
            predicted = branch.logits[0].argmax(0)[inside] > 0
            together = predicted.sum() + (truth > 0).sum()
            scores[name].append(float(2 * (predicted & (truth > 0)).sum() / together.clamp(min=1)))
    network.load_state_dict(trained)
    network.train()
    return {name: sum(values) / len(values) for name, values in scores.items() if values}


def _padded(image: Tensor, divisor: int) -> Tensor:
    """Zeros at the far end of each axis, up to a multiple of the divisor."""
    missing = [-side % divisor for side in reversed(image.shape)]
    return functional.pad(image, [pad for side in missing for pad in (0, side)])


def _load(
    cases: tuple[TrainingCase, ...], config: CornTrainingConfig, progress: Progress, device: torch.device
) -> DeviceScans:
    scans: list[Tensor] = []
    label_maps: list[Tensor | None] = []
    for case in cases:
        volume, labels = read_case(case)
        scan = prepare_scan(volume, config.preprocessing)
        truth = None if labels is None else prepare_label_map(labels, scan, config.preprocessing)
        scans.append(torch.from_numpy(scan.array[0]))
        label_maps.append(None if truth is None else torch.from_numpy(truth.array[0]))
        progress.step()
    return DeviceScans(scans, label_maps, device)


def _choose(count: int, wanted: int, generator: torch.Generator) -> list[int]:
    """Indices without repetition, or with as little as possible."""
    rounds = [torch.randperm(count, generator=generator) for _ in range(-(-wanted // count))]
    return [int(index) for index in torch.cat(rounds)[:wanted]]


def _precision(config: CornTrainingConfig, device: str) -> Any:
    on_gpu = torch_device(device).type == "cuda"
    wanted = ("bf16" if on_gpu else "fp32") if config.precision == "auto" else config.precision
    return {"bf16": "bf16-mixed", "fp32": "32-true"}[wanted]
