"""The training loop of masked image modeling: one loop, four methods that differ in their loss."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from MaskWhatMattersLib.datasets.prepare_images import PreparedImages
from MaskWhatMattersLib.errors import InputError, JobCancelledError
from MaskWhatMattersLib.masking.token_mask import TokenMask
from MaskWhatMattersLib.pretraining.batch import MaskedBatch, ViewsBatch
from MaskWhatMattersLib.pretraining.config import PretrainConfig
from MaskWhatMattersLib.pretraining.images import PretrainImages
from MaskWhatMattersLib.pretraining.methods import make_method
from MaskWhatMattersLib.pretraining.optimization import follow_schedule, make_optimizer, steps_of
from MaskWhatMattersLib.pretraining.pictures import triplet_png
from MaskWhatMattersLib.progress import Progress, SilentProgress
from MaskWhatMattersLib.training.engine import (
    OutOfMemoryLadder,
    TrainingLog,
    due,
    estimate_resources,
    format_picture,
    format_point,
    load_checkpoint,
    make_fabric,
    prepare_network,
    save_checkpoint,
    seed_step,
)
from MaskWhatMattersLib.training.means import Means, portion_rungs
from MaskWhatMattersLib.training.throughput import Throughput


def train(
    config: PretrainConfig,
    images: PreparedImages,
    folder: Path,
    progress: Progress | None = None,
    device: str = "auto",
) -> None:
    """Pretrain, resuming where the folder left off, with whatever number of processes.

    Where memory runs out, a batch is taken in portions whose gradients add up (batch norm sees a portion at a time),
    and at last the processor does the work; each try goes on from the last checkpoint.

    Args:
        config: Settings.
        images: Prepared images with their marks.
        folder: Gets the checkpoint and log.csv.
        progress: Told of every step; of every point of the curves and every picture as a log line.
        device: "auto", "cpu", "cuda" or "cuda:1".

    Raises:
        InputError: Settings that cannot be used, or a checkpoint that was made with other settings.
        JobCancelledError: The user asked to stop; the checkpoint holds every step done.
        JobError: Memory ran out in every way.
    """
    progress = progress or SilentProgress()
    compares_images = config.method == "simclr"
    rungs = portion_rungs(device, [n for n in (2, 4) if n <= config.batch_size and not compares_images])
    OutOfMemoryLadder(rungs, progress).run(lambda means: _train(config, images, folder, progress, means))


def _train(config: PretrainConfig, images: PreparedImages, folder: Path, progress: Progress, means: Means) -> None:
    fabric = make_fabric(means.device, config.precision)
    fabric.seed_everything(config.seed, verbose=False)
    method = make_method(config).to(fabric.device)
    prepare_network(method, channels_last=config.channels_last, compile=config.compile)
    batches = PretrainImages(config, images.device_scans(fabric.device), fabric.global_rank, fabric.world_size)
    module, optimizer = fabric.setup(method, make_optimizer(config, method))
    state: dict[str, Any] = {"module": module, "optimizer": optimizer, "step": 0, "steps": 0}
    state["config"] = config.model_dump(mode="json")
    load_checkpoint(fabric, state, folder)
    module.train()
    if not state["steps"]:
        state["steps"] = _steps(config, fabric, module, batches, progress)
    log = TrainingLog(folder, state["step"], tensorboard=config.tensorboard, active=fabric.is_global_zero)
    meter = Throughput(fabric.device, processes=fabric.world_size)
    few = next(portions(batches.batch(state["step"])[0], max(1, config.batch_size // 2)))
    meter.count(lambda: fabric.backward(module(few).total), len(few[0]), (method,))
    progress.stage("Pretraining", total=state["steps"] - state["step"])
    try:
        while state["step"] < state["steps"]:
            seed_step(config.seed, fabric.global_rank, state["step"])
            follow_schedule(optimizer, config, state["step"], state["steps"])
            with meter.loading():
                batch, mask = batches.batch(state["step"])
            losses = [_backward(fabric, module, part, len(batch[0])) for part in portions(batch, means.portions)]
            if config.clip:
                fabric.clip_gradients(module, optimizer, max_norm=config.clip, error_if_nonfinite=False)
            optimizer.step()
            optimizer.zero_grad()
            state["step"] += 1
            meter.step(samples=config.batch_size, tokens=config.batch_size * math.prod(config.grid))

            is_last = state["step"] == state["steps"]
            if due(state["step"], config.log_every) or is_last:
                point = {"loss": _finite(losses)} | _ratios(mask) | meter.report()
                log.write(state["step"], point)
                progress.log(format_point(state["step"], **point))
            if due(state["step"], config.picture_every) and config.method != "simclr" and fabric.is_global_zero:
                progress.log(format_picture(state["step"], _picture(method, batches)))
            if due(state["step"], config.save_every) or is_last:
                save_checkpoint(fabric, state, folder)
            progress.step()
    except JobCancelledError:
        save_checkpoint(fabric, state, folder)
        raise
    finally:
        log.close()


def portions(batch: MaskedBatch | ViewsBatch, count: int) -> Iterator[MaskedBatch | ViewsBatch]:
    """The batch in at most so many parts of nearly equal size."""
    if count == 1:
        yield batch
        return
    for parts in zip(*(part.tensor_split(count) for part in batch), strict=True):
        if len(parts[0]):
            yield type(batch)(*parts)


def _steps(
    config: PretrainConfig, fabric: Fabric, module: nn.Module, batches: PretrainImages, progress: Progress
) -> int:
    """Measure a step, say what the training needs, and how many steps fit into the budget."""
    progress.stage("Measuring a step")
    batch = batches.batch(0)[0]
    wanted = steps_of(config, len(batches.scans), fabric.world_size)
    step = lambda: fabric.backward(module(batch).total)  # noqa: E731
    found = estimate_resources(step, steps=wanted, device=fabric.device, modules=(module,))
    steps = wanted if config.minutes is None else min(wanted, found.steps_within(config.minutes))
    steps = int(fabric.broadcast(steps))
    progress.log(f"{steps} steps of {found.step_s:.2g} s: {replace(found, steps=steps).words()}.")
    return steps


def _backward(fabric: Fabric, module: nn.Module, part: MaskedBatch | ViewsBatch, images: int) -> Tensor:
    """Gradients of a part of a batch, by its share of the images; returns that share of the loss.

    Within a part the loss is a mean over hidden tokens, so where images hide different numbers of them, tokens of a
    part (or, with several processes, of a process) that hides fewer weigh more.
    """
    loss: Tensor = module(part).total * (len(part[0]) / images)
    fabric.backward(loss)
    return loss.detach()


def _finite(losses: list[Tensor]) -> float:
    """The loss of a batch, from those of its parts.

    Raises:
        InputError: It is no number any more.
    """
    loss = float(torch.stack(losses).sum())
    if not math.isfinite(loss):
        raise InputError(
            f"The pretraining has diverged: its loss is {loss}. Choose a lower learning_rate or a longer warmup and "
            "another output folder, or the precision fp32."
        )
    return loss


@torch.no_grad()
def _picture(method: nn.Module, batches: PretrainImages) -> bytes:
    method.eval()
    try:
        return triplet_png(method.reconstruct(batches.picture_batch()))  # type: ignore[operator]
    finally:
        method.train()


def _ratios(mask: TokenMask | None) -> dict[str, float]:
    """The hidden share of the tokens, and what it is inside and outside of the region where there is one."""
    if mask is None:
        return {}
    values = {"hidden": mask.ratio()}
    if mask.relevant is not None:
        values |= {"hidden_inside": mask.ratio_inside(), "hidden_outside": mask.ratio_outside()}
    means = {name: float(value.nanmean()) for name, value in values.items()}
    return {name: mean for name, mean in means.items() if math.isfinite(mean)}
